"""fits.json of a study: schema 1 of `laws.payload`, with the title of each fit and the study's ledger."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from scaling.laws.analysis import FormReport, HeldOut
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import Interval, Prediction, percentiles
from scaling.laws.observations import Observations
from scaling.laws.payload import SCHEMA, fit_payload
from scaling.results import FittedLaw
from scaling.specs import Plan
from scaling.store import Exclusion, Forecast
from scaling.values import to_plain


def payload(
    plan: Plan,
    exclusions: Sequence[Exclusion],
    surface: FittedLaw,
    lines: Sequence[FittedLaw],
    *,
    held_out: Observations | None,
    prediction: Prediction | None,
    forecasts: Sequence[Forecast],
    level: float,
) -> dict[str, Any]:
    """Nothing in it depends on when or how fast it was made: the same records give the same bytes."""
    score = None if held_out is None or prediction is None else score_held_out(held_out, prediction)
    return {
        "schema": SCHEMA,
        "source": plan.study,
        "observations": {
            "num_rows": len(plan.points),
            "num_used": len(surface.observations),
            "num_heldout": 0 if held_out is None else len(held_out),
            "excluded": [{"row": f"{e.run_id} at {e.tokens} tokens", "reason": e.reason} for e in exclusions],
            "conventions": surface.observations.convention,
        },
        "fits": [_entry(surface, score, level), *(_entry(line, None, level) for line in lines)],
        "forecasts": [to_plain(forecast) for forecast in forecasts],
    }


def _entry(fitted: FittedLaw, held_out: HeldOut | None, level: float) -> dict[str, Any]:
    fit = fitted.fit
    report = FormReport(
        fit=fit,
        boot=fitted.bootstrap,
        intervals=fitted.intervals,
        other_intervals={},
        exponent_intervals=_exponent_intervals(fitted, level),
        heldout=held_out,
    )
    residual_rms = float(np.sqrt(np.mean(fit.residuals**2))) if fit.residuals.size else None
    return {"title": fitted.title, **fit_payload(report), "residual_rms": residual_rms}


def _exponent_intervals(fitted: FittedLaw, level: float) -> dict[str, Interval]:
    """Of the powers of C with which the best N and D grow."""
    if not fitted.fit.usable or fitted.bootstrap is None or fitted.fit.law.name != CHINCHILLA.name:
        return {}
    draws = fitted.fit.law.compute_exponents(fitted.bootstrap.parameters)
    ends = [percentiles(values, level) for values in draws]
    return {
        name: Interval(float(low), float(high), level, "bootstrap")
        for name, (low, high) in zip(("params_exponent", "tokens_exponent"), ends, strict=True)
    }


def score_held_out(held_out: Observations, prediction: Prediction) -> HeldOut:
    inside = (prediction.low <= held_out.loss) & (held_out.loss <= prediction.high)
    return HeldOut(
        num_points=len(held_out),
        mean_abs_rel_error=float(np.mean(np.abs(prediction.loss / held_out.loss - 1.0))),
        interval_level=prediction.level,
        interval_coverage=float(np.mean(inside)),
    )

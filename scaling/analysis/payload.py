"""fits.json: schema 1, which later versions only extend. Parameters are in raw units; missing is null."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from scaling.laws.intervals import Prediction
from scaling.laws.observations import Observations
from scaling.results import FittedLaw
from scaling.specs import Plan
from scaling.store import Exclusion, Forecast
from scaling.values import to_plain

SCHEMA = 1


def payload(
    plan: Plan,
    exclusions: Sequence[Exclusion],
    surface: FittedLaw,
    lines: Sequence[FittedLaw],
    *,
    held_out: Observations | None,
    prediction: Prediction | None,
    forecasts: Sequence[Forecast],
) -> dict[str, Any]:
    held_out_entry = None if held_out is None or prediction is None else held_out_summary(held_out, prediction)
    return {
        "schema": SCHEMA,
        "source": plan.study,
        "observations": {
            "num_rows": len(plan.points),
            "num_used": len(surface.observations),
            "excluded": [{"row": f"{e.run_id} at {e.tokens} tokens", "reason": e.reason} for e in exclusions],
            "conventions": surface.observations.convention,
        },
        "fits": [fit_entry(surface, held_out_entry), *(fit_entry(line, None) for line in lines)],
        "forecasts": [to_plain(forecast) for forecast in forecasts],
    }


def fit_entry(fitted: FittedLaw, held_out: dict[str, Any] | None) -> dict[str, Any]:
    fit = fitted.fit
    optimum = None
    if fit.usable and {"alpha", "beta"} <= set(fit.parameters):
        alpha, beta = fit.parameters["alpha"], fit.parameters["beta"]
        optimum = {"params_exponent": beta / (alpha + beta), "tokens_exponent": alpha / (alpha + beta)}
    return {
        "law": fit.law.name,
        "title": fitted.title,
        "formula": fit.law.formula,
        "status": fit.status,
        "message": fit.message,
        "num_points": fit.num_points,
        "parameters": fit.parameters or None,
        "objective": {
            "name": "huber_log",
            "delta": fit.objective.delta,
            "weights": "none",
            "value": fit.objective.value,
        },
        "intervals": {name: to_plain(interval) for name, interval in fitted.intervals.items()},
        "optimum": optimum,
        "residual_rms": float(np.sqrt(np.mean(fit.residuals**2))) if fit.residuals.size else None,
        "heldout": held_out,
    }


def held_out_summary(held_out: Observations, prediction: Prediction) -> dict[str, Any]:
    inside = (prediction.low <= held_out.loss) & (held_out.loss <= prediction.high)
    return {
        "num_points": len(held_out),
        "mean_abs_rel_error": float(np.mean(np.abs(prediction.loss / held_out.loss - 1.0))),
        "interval_level": prediction.level,
        "interval_coverage": float(np.mean(inside)),
    }

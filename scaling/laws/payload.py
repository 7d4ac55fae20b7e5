"""fits.json, schema 1: plain dicts and lists, None for what is missing. Later versions only add keys."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaling.laws.analysis import Analysis, PointForecast, TargetForecast
from scaling.laws.backtest import Best, Rung
from scaling.laws.fit import Fit
from scaling.laws.form_report import FormReport, HeldOut
from scaling.laws.intervals import Interval
from scaling.laws.selection import aicc
from scaling.laws.stored import forecaster_payload

SCHEMA = 1
Json = dict[str, Any]


def fits_payload(
    analysis: Analysis,
    *,
    source: str,
    num_held: int = 0,
    seconds: Mapping[str, float] | None = None,
    excluded: Sequence[tuple[object, str]] | None = None,
) -> Json:
    """Give the content of fits.json.

    Args:
        analysis: of the training rows.
        source: where the rows came from.
        num_held: rows kept out of the fit; they count as read, not as used.
        seconds: further durations, by what took them.
        excluded: rows that are not used, each by its name and with its reason; those of the analysis when left out.
    """
    rows = analysis.observations
    left_out = [(e.row, e.reason) for e in rows.excluded] if excluded is None else excluded
    return {
        "schema": SCHEMA,
        "source": source,
        "observations": {
            "num_rows": len(rows) + num_held + len(left_out),
            "num_used": len(rows),
            "num_heldout": num_held,
            "excluded": [{"row": row, "reason": reason} for row, reason in left_out],
            "conventions": rows.convention,
        },
        "fits": [fit_payload(report) for report in analysis.reports],
        "selected": _selected(analysis),
        "answers": {name: answer.__dict__ for name, answer in analysis.answers.items()},
        "forecasts": [_forecast(target) for target in analysis.forecasts],
        "points": [point_payload(point) for point in analysis.points],
        "seconds": {**analysis.seconds, **(seconds or {})},
    }


def fit_payload(report: FormReport) -> Json:
    """Give one entry of "fits". Parameters of a law that the rows cannot tell are None: they are no result."""
    fit = report.fit
    return {
        "law": fit.law.name,
        "title": report.title,
        "formula": fit.law.formula,
        "status": fit.status,
        "message": fit.message,
        "num_points": fit.num_points,
        "parameters": _parameters(fit),
        "objective": {
            "name": fit.objective.name,
            "delta": fit.objective.delta,
            "weights": fit.objective.weights,
            "value": fit.objective.value,
        },
        "intervals": _intervals(report.intervals),
        "other_intervals": _intervals(report.other_intervals),
        "optimum": _optimum(report),
        "residual_rms": residual_rms(fit),
        "heldout": heldout_payload(report.heldout),
    }


def residual_rms(fit: Fit) -> float | None:
    """Give the root mean square of the log residuals, about the relative error of one row; None of a refused fit."""
    return float(np.sqrt(np.mean(fit.residuals**2))) if fit.residuals.size else None


def _parameters(fit: Fit) -> Json | None:
    """Give the numbers of a fit that stands, or that stands at a bound (which its status says); None of any other."""
    if fit.status not in ("converged", "at_bound"):
        return None
    return {name: _finite(value) for name, value in fit.parameters.items()}


def _finite(value: float) -> float | None:
    """Give the value, or None for what JSON cannot hold: a coefficient or an end of an interval beyond float64."""
    return value if math.isfinite(value) else None


def interval_payload(interval: Interval) -> Json:
    """Give an interval as a dict."""
    return {
        "low": _finite(interval.low),
        "high": _finite(interval.high),
        "level": interval.level,
        "method": interval.method,
    }


def _intervals(intervals: Mapping[str, Interval]) -> Json:
    return {name: interval_payload(interval) for name, interval in intervals.items()}


def _optimum(report: FormReport) -> Json | None:
    if not report.exponent_intervals:
        return None
    params_exponent, tokens_exponent = report.fit.law.compute_exponents(report.fit.theta)
    return {
        "params_exponent": float(params_exponent),
        "tokens_exponent": float(tokens_exponent),
        "intervals": _intervals(report.exponent_intervals),
    }


def heldout_payload(heldout: HeldOut | None) -> Json | None:
    """Give a score on held-out rows as a dict."""
    if heldout is None:
        return None
    return {
        "num_points": heldout.num_points,
        "mean_abs_rel_error": heldout.mean_abs_rel_error,
        "interval_level": heldout.interval_level,
        "interval_coverage": heldout.interval_coverage,
    }


def _selected(analysis: Analysis) -> Json:
    asked = analysis.forecaster
    if asked is None:
        return {
            "law": None, "line": None, "weights": None,
            "why": analysis.selection_message, "num_rows": None, "heldout": None,
            "candidates": [], "covariance": None, "misfit": None, "noise": None, "reach": None, "widen": None,
            "tested_decades": None, "tested": False, "backtest": [],
        }  # fmt: skip
    stored = forecaster_payload(asked)
    criteria = {report.fit.law.name: aicc(report.fit) for report in analysis.reports}
    for candidate in stored["candidates"]:
        candidate["aicc"] = criteria.get(candidate["law"])
    members = asked.average.members
    return {
        "law": "average" if len(members) > 1 else members[0].way.law.name,
        "weights": {member.way.name: member.weight for member in members},
        "why": asked.why,
        "num_rows": analysis.num_sampled,
        "heldout": heldout_payload(analysis.heldout),
        **stored,
        "backtest": [_rung(rung) for rung in asked.backtest.rungs],
    }


def _rung(rung: Rung) -> Json:
    return {
        "rung": rung.name,
        "flops": rung.flops,
        "num_fitted": rung.num_fitted,
        "num_later": len(rung.errors),
        "mean_abs_rel_error": rung.mean_abs_rel_error,
        "mean_rel_error": rung.mean_rel_error,
        "rms_score": rung.rms_score,
        "decades": float(rung.decades.max()),
    }


def point_payload(point: PointForecast) -> Json:
    """Give the forecast of one point as a dict."""
    return {
        "params": point.params,
        "tokens": point.tokens,
        "flops": 6 * point.params * point.tokens,
        "loss": point.loss,
        "intervals": {
            "loss": interval_payload(point.loss_interval),
            "mean_loss": interval_payload(point.curve_interval),
        },
        "log10_extrapolation": point.extrapolation,
    }


def _forecast(target: TargetForecast) -> Json:
    return {**best_payload(target.best, target.there), "chinchilla_loss": target.allocation.loss}


def best_payload(best: Best, there: PointForecast) -> Json:
    """Give the best N and D of a budget, and the loss there, as a dict."""
    return {
        "flops": best.flops,
        "params": best.params,
        "tokens": best.tokens,
        "params_exponent": best.params_exponent,
        "loss": there.loss,
        "by_form": best.by_form,
        "intervals": {
            "params": interval_payload(best.params_interval),
            "tokens": interval_payload(best.tokens_interval),
            "params_exponent": interval_payload(best.params_exponent_interval),
            "loss": interval_payload(there.loss_interval),
            "mean_loss": interval_payload(there.curve_interval),
        },
        "log10_extrapolation": there.extrapolation,
    }

"""A forecaster in fits.json, and back: asked again without the rows and without a fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scaling.laws.average import Average, Member, NewRun, Reach
from scaling.laws.backtest import Backtest, Forecaster
from scaling.laws.candidates import Way
from scaling.laws.forecast import Widening
from scaling.laws.forms import SYMBOL
from scaling.laws.line import Line
from scaling.laws.misfit import DIRECTIONS, Misfit, Tangent
from scaling.laws.registry import forms, law_named

Json = dict[str, Any]


def forecaster_payload(asked: Forecaster) -> Json:
    """Give what `stored_forecaster` needs, as plain numbers and lists."""
    average, bent, widening = asked.average, asked.average.misfit, asked.backtest.widening
    line = asked.line
    directions = DIRECTIONS if line is None else (SYMBOL[line.variable],)
    return {
        "line": None if line is None else {**line_payload(line), "words": line.words},
        "candidates": [
            {
                "law": member.way.law.name,
                "compute_power": member.way.compute_power,
                "delta": member.way.delta,
                "by_noise": member.way.trusts_form,
                "parameters": dict(zip(member.way.law.parameter_names, member.theta.tolist(), strict=True)),
                "inner_errors": dict(zip(average.cuts, member.inner_errors, strict=True)),
                "weight": member.weight,
            }
            for member in average.members
        ],
        "covariance": {"own": average.own.tolist(), "shared": average.shared.tolist() if average.share else None},
        "misfit": {
            "probability": bent.probability,
            "each": dict(zip(directions, bent.each, strict=False)),
            "belief": bent.belief,
            "num_points": bent.num_points,
            "around": None if bent.tangent is None else bent.tangent.theta.tolist(),
            "log_params": None if bent.tangent is None else bent.tangent.log_params,
            "log_tokens": None if bent.tangent is None else bent.tangent.log_tokens,
            "change": None if bent.change is None else bent.change.tolist(),
        },
        "noise": {
            "relative_sd": average.new_run.relative_sd,
            "compute_power": average.new_run.trend,
            "centre": average.new_run.centre,
            "largest": average.new_run.largest,
            "shared": average.share / (1 + average.share),
            "freedom": average.freedom,
            "shared_freedom": average.shared_freedom,
        },
        "reach": {
            "params": [average.reach.params_low, average.reach.params_high],
            "flops": average.reach.flops,
        },
        "widen": widening.factor,
        "tested_decades": widening.tested,
        "tested": asked.backtest.tested,
    }


def stored_forecaster(selected: Mapping[str, Any]) -> Forecaster:
    """Give the forecaster back from `selected` of a fits.json.

    Raises:
        ValueError: the file has none, or was written before forecasters were stored, or names a form that is not known.
    """
    if not selected.get("candidates") or "covariance" not in selected:
        raise ValueError(
            "it holds no forecaster that can be asked again: no form could be fitted, or an earlier version wrote it; "
            "fit the rows again"
        )
    unknown = {one["law"] for one in selected["candidates"]} - set(forms())
    if unknown:
        raise ValueError(f"it has the form {min(unknown)!r}, which is none of {', '.join(forms())}: fit the rows again")
    members = tuple(_member(one) for one in selected["candidates"])
    bent, noise, reach = selected["misfit"], selected["noise"], selected["reach"]
    line, around = _line(selected.get("line")), None
    if bent["around"] is not None:
        around = Tangent(
            np.array(bent["around"]), bent["log_params"], bent["log_tokens"], None if line is None else line.variable
        )
    own = np.array(selected["covariance"]["own"], dtype=np.float64)
    shared = selected["covariance"]["shared"]
    return Forecaster(
        Average(
            members=members,
            cuts=tuple(selected["candidates"][0]["inner_errors"]),
            misfit=Misfit(
                bent["probability"],
                tuple(bent["each"].values()),
                bent["num_points"],
                around,
                None if bent["change"] is None else np.array(bent["change"]),
            ),
            own=own,
            shared=np.zeros_like(own) if shared is None else np.array(shared, dtype=np.float64),
            share=noise["shared"] / (1 - noise["shared"]),
            freedom=noise["freedom"],
            shared_freedom=noise["shared_freedom"],
            new_run=NewRun(noise["relative_sd"], noise["compute_power"], noise["centre"], noise["largest"]),
            reach=Reach(reach["params"][0], reach["params"][1], reach["flops"]),
        ),
        Backtest((), Widening(selected["widen"], selected["tested_decades"]) if selected["tested"] else None),
        selected["why"],
        line,
    )


def _member(one: Mapping[str, Any]) -> Member:
    law = law_named(one["law"])
    theta = np.array([one["parameters"][name] for name in law.parameter_names], dtype=np.float64)
    way = Way(law, one["compute_power"], one["delta"], one["by_noise"])
    return Member(way, theta, one["weight"], tuple(one["inner_errors"].values()))


def line_payload(line: Line) -> Json:
    """Give a line as plain numbers; one N has no slope that JSON holds."""
    return {
        "slope": None if np.isinf(line.slope) else line.slope,
        "params": line.params,
        "tokens": line.tokens,
    }


def _line(stored: Mapping[str, Any] | None) -> Line | None:
    if stored is None:
        return None
    return Line(np.inf if stored["slope"] is None else stored["slope"], stored["params"], stored["tokens"])

"""fits.json, all of it, from a report: the one place that says what the file holds (docs/fits-json.md). Nothing is
computed here; what is missing is null, and so is what JSON cannot hold."""

import math
from typing import Any
from weakref import WeakKeyDictionary

from scaling.findings import refusals
from scaling.laws.payload import fits_payload
from scaling.results import LawReport, Repetition, StudyReport, TableReport
from scaling.shapes import Shapes
from scaling.values import finite_or_null, to_plain

Json = dict[str, Any]
_MADE: WeakKeyDictionary[LawReport, Json] = WeakKeyDictionary()  # a file, a page and a terminal show the same report


def fits_json(report: LawReport) -> Json:
    """Return the content of a report's fits.json; it is made once, and not to be changed."""
    if report not in _MADE:
        _MADE[report] = _content(report)
    return _MADE[report]


def _content(report: LawReport) -> Json:
    laws = {
        **fits_payload(
            report.analysis,
            source=report.source,
            num_held=0 if report.held_out is None else len(report.held_out),
            seconds=report.seconds,
            excluded=report.excluded,
        ),
        "holdout": report.rule,
        "estimators": to_plain(report.estimators),
        "conventions": to_plain(report.conventions),
        "ledger": [],
    }
    content: Json = finite_or_null(laws)
    if isinstance(report, StudyReport):
        shapes = None if report.shapes is None else shapes_json(report.shapes)
        content |= {"ledger": to_plain(report.forecasts), "shapes": shapes, "text": _text(report)}
    if isinstance(report, TableReport):
        content |= {"reading": to_plain(report.reading), "influence": finite_or_null(to_plain(report.influence))}
        if report.repetition is not None:
            content["text"] = {"repetition": _repetition(report.repetition)}
    refused = [finding.name for finding in refusals(report.findings)]
    return content | {"refused": refused, "findings": to_plain(report.findings)}


def _text(report: StudyReport) -> Json:
    return {
        "validation_sets": [
            {"name": law.name, "status": law.law.fit.status, "parameters": law.law.fit.parameters,
             "intervals": to_plain(law.law.intervals), "bytes_per_token": law.bytes_per_token, "overlap": law.overlap}
            for law in report.validation_laws
        ],
        "vocabularies": [
            {"vocab_size": each.vocab_size, "status": each.law.fit.status, "parameters": each.law.fit.parameters,
             "intervals": to_plain(each.law.intervals), "bytes_per_token": each.bytes_per_token,
             "flops": each.flops, "best_loss": each.best_loss, "heldout": to_plain(each.error)}
            for each in report.vocabulary_laws
        ],
        "repetition": None if report.repetition is None else _repetition(report.repetition),
        "floor": None if report.floor is None else to_plain(report.floor),
        "entropy": None if report.entropy is None else to_plain(report.entropy),
    }  # fmt: skip


def _repetition(found: Repetition) -> Json:
    return {
        "status": found.law.fit.status,
        "message": found.law.fit.message,
        "parameters": found.law.fit.parameters,
        "intervals": to_plain(found.law.intervals),
        "fresh_status": found.fresh_status,
        "num_repeated": found.num_repeated,
        "most_epochs": found.most_epochs,
        "heldout": to_plain(found.errors),
    }


def shapes_json(found: Shapes) -> Json:
    """Return `shapes` of fits.json."""
    valley = found.valley
    return {
        "asked": found.asked,
        "status": "too few" if valley is None else valley.kind,
        "reason": found.reason,
        "level": found.level,
        "best": to_plain(found.best),
        "band": found.band and {"share": found.share, "low": found.band[0], "high": found.band[1]},
        "largest_loss_cost": valley and math.expm1(valley.largest),
        "effect": valley and valley.effect,
        "misfit": valley and valley.misfit,
        "freedom": valley and valley.freedom,
        "taken_out": {"by": found.taken_out, "moved": found.moved},
        "odd": to_plain(found.odd),
        "best_with_odd": to_plain(found.best_with_odd),
        "slope_from": found.slope_from,
        "noise_from": found.noise_from,
        "groups": [
            {"params": group.typical_params, "counted": group.counted, "spread": group.spread, "slope": to_plain(slope)}
            for group, slope in zip(found.groups, found.slopes, strict=True)
        ],
        "sizes": to_plain(found.shapes),
        "cells": to_plain(found.cells),
    }

"""A study of many runs, without fitting it anew."""

from dataclasses import replace
from typing import Any

import numpy as np

from scaling.results import StudyReport
from scaling.specs import Plan


def many(report: StudyReport, times: int) -> StudyReport:
    """The study with each run `times` times over, each time with data of its own."""
    names: list[dict[str, str]] = []
    runs, points = [], []
    for i in range(times):
        again = [replace(run, data_seed=run.data_seed + 1000 * i) for run in report.plan.runs]
        names.append({old.id: new.id for old, new in zip(report.plan.runs, again, strict=True)})
        runs += again
        points += copies(report.plan.points, names[-1:])

    def rows(observations: Any) -> Any:
        tiled = observations.take(np.tile(np.arange(len(observations)), times))
        return replace(tiled, trajectory=np.array([new[old] for new in names for old in observations.trajectory]))

    points = [replace(point, index=index) for index, point in enumerate(points)]
    return replace(
        report,
        plan=Plan(report.plan.study, tuple(runs), tuple(points)),
        records=copies(report.records, names),
        curves=copies(report.curves, names),
        fitted_records=copies(report.fitted_records, names),
        held_out_records=copies(report.held_out_records, names),
        fitted=rows(report.fitted),
        held_out=rows(report.held_out),
        exclusions=(),
    )


def copies(of_runs: tuple[Any, ...], names: list[dict[str, str]]) -> tuple[Any, ...]:
    return tuple(replace(one, run_id=new[one.run_id]) for new in names for one in of_runs)

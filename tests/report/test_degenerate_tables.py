"""Tables that carry little or nothing: every figure is drawn, or the report says why there is none."""

from dataclasses import fields

import numpy as np
import pytest

from scaling.analysis.law_report import Rows, law_report
from scaling.checks.catalogue import check_table
from scaling.laws.observations import FloatArray, Observations
from scaling.report.figures.catalogue import figure_groups
from scaling.report.figures.interactive import figure
from scaling.report.figures.render import render
from scaling.results import TableReport
from scaling.tables.account import Reading

N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
RNG = np.random.default_rng(0)
NOISE = np.exp(0.01 * RNG.standard_normal(25))


def law(N: FloatArray, D: FloatArray) -> FloatArray:
    return np.asarray(1.7 + 400 / N**0.34 + 1200 / D**0.29)


EXACT = law(N, D)
TABLES: dict[str, tuple[FloatArray, FloatArray, FloatArray, str]] = {
    "exact losses": (N, D, EXACT, "converged"),
    "equal losses": (N, D, np.full(25, 2.0), "refused"),
    "one row": (N[:1], D[:1], EXACT[:1], "refused"),
}
MORE = {
    "four decimals": (N, D, np.round(EXACT, 4), "converged"),
    "one decimal": (N, D, np.round(EXACT, 1), "converged"),
    "rounding for noise": (N, D, EXACT * (1 + 1e-12 * RNG.standard_normal(25)), "converged"),
    "losses of 1e-300": (N, D, EXACT * 1e-300, "converged"),
    "losses of 1e300": (N, D, EXACT * 1e300, "converged"),
    "N of 1e-290": (N * 1e-297, D, EXACT * NOISE, "converged"),
    "one loss of 1e9": (N, D, np.where(np.arange(25) == 3, 1e9, EXACT * NOISE), "converged"),
    "two rows": (N[:2], D[:2], EXACT[:2], "refused"),
    "one N": (np.full(25, 1e8), D, law(np.full(25, 1e8), D) * NOISE, "refused"),
    "one D": (N, np.full(25, 1e10), law(N, np.full(25, 1e10)) * NOISE, "refused"),
    "D within rounding": (N, 1e10 * (1 + 1e-9 * np.arange(25)), EXACT * NOISE, "refused"),
    "one row nine times": (np.full(9, 1e8), np.full(9, 1e10), np.full(9, 2.0), "refused"),
    "noise alone": (N, D, 2 * np.exp(0.3 * RNG.standard_normal(25)), "at_bound"),
    "losses that rise": (N, D, EXACT[::-1], "at_bound"),
    "no floor": (N, D, EXACT - 1.7, "at_bound"),
    "a power of N": (N, D, 1.7 + 400 / N**0.34, "unidentified"),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("N", "D", "loss", "status"),
    [
        *(pytest.param(*table, id=name) for name, table in TABLES.items()),
        *(pytest.param(*table, id=name, marks=pytest.mark.slow) for name, table in MORE.items()),
    ],
)
def test_a_degenerate_table_is_reported(N: FloatArray, D: FloatArray, loss: FloatArray, status: str) -> None:
    rows = Observations(N, D, loss)
    laws = law_report(
        Rows("rows", rows, None, None, {"as given": rows}, {}), targets=None, resamples=0, level=0.95, seed=0
    )
    parts = {part.name: getattr(laws, part.name) for part in fields(laws)}
    report = TableReport(**parts, command="", by_run=False, reading=Reading("rows", "row", len(N), {}))
    assert report.surface.fit.status == status
    told = {finding.name for finding in check_table(report)}
    assert bool(told & {"unusable_law", "one_line"}) is (status != "converged")
    for group in figure_groups(report):
        for panel in group.panels:
            assert render(panel)
            assert figure(panel, {})["data"]

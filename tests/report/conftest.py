"""A report on disk, written once for all tests that read it."""

from pathlib import Path

import pytest

from scaling.report.figures.catalogue import draw_figures
from scaling.report.figures.plate import Figures
from scaling.report.write import write_report
from scaling.results import StudyReport

from .synthetic import study


@pytest.fixture(scope="session")
def report() -> StudyReport:
    return study()


@pytest.fixture(scope="session")
def figures(report: StudyReport) -> Figures:
    return draw_figures(report)


@pytest.fixture(scope="session")
def folder(report: StudyReport, figures: Figures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(report, tmp_path_factory.mktemp("study"), figures).parent

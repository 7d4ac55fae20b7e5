"""A report on disk, written once for all tests that read it."""

from pathlib import Path

import pytest

from scaling.report.figures.catalogue import draw_figures
from scaling.report.figures.plate import Picture
from scaling.report.write import write_report
from scaling.results import StudyReport

from .synthetic import study


@pytest.fixture(scope="session")
def report() -> StudyReport:
    return study()


@pytest.fixture(scope="session")
def pictures(report: StudyReport) -> dict[str, Picture]:
    return draw_figures(report)


@pytest.fixture(scope="session")
def folder(report: StudyReport, pictures: dict[str, Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(report, tmp_path_factory.mktemp("study"), pictures=pictures).parent

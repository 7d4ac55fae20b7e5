"""A page lists and draws what a reader can take in, and says what it leaves out."""

import pytest

from scaling.report import document, reading
from scaling.report.content import content, thinned_words
from scaling.report.figures.catalogue import figure_groups
from scaling.report.figures.chart import Dots
from scaling.report.points import points_table
from scaling.results import StudyReport


def test_a_large_study_is_drawn_in_part_and_says_so(report: StudyReport, monkeypatch: pytest.MonkeyPatch) -> None:
    assert thinned_words(report) == ""
    monkeypatch.setattr(reading, "LARGE_STUDY", 10)
    monkeypatch.setattr(reading, "MOST_DRAWN", 6)
    groups = figure_groups(report)
    words = f"The figures show 6 of the {len(report.fitted)} fitted and "
    assert words in str(content(report, groups).sections[2])
    dots = [
        len(mark.x)
        for group in groups
        if group.name not in ("forecasts", "loss-curves", "profiles", "lines")
        for panel in group.panels
        for mark in panel.chart.marks
        if isinstance(mark, Dots)
    ]
    assert max(dots) == 6


def test_a_page_lists_a_sample_and_names_the_file_that_has_all(
    report: StudyReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = points_table(report)
    monkeypatch.setattr(document, "MOST_LISTED", 7)
    table = points_table(report)
    assert len(table.rows) == len(table.sort_keys) == 7
    assert (table.rows[0], table.rows[-1]) == (whole.rows[0], whole.rows[-1])
    assert f"7 of {len(whole.rows)} are listed, evenly spread; points.csv has all" in table.caption

"""The page and the Markdown say all of a study, and nothing of a fit that may not be used."""

import re
from dataclasses import replace
from html import escape
from itertools import pairwise
from pathlib import Path

import pytest

from scaling.laws.agreement import Answer
from scaling.report.answer import answer
from scaling.report.content import content
from scaling.report.document import Facts, Table, Verdict
from scaling.report.figures.plate import Figures, Picture
from scaling.report.html import page
from scaling.report.markdown import markdown
from scaling.report.numbers import nats
from scaling.report.write import write_report
from scaling.results import StudyReport

from .reader import Page
from .synthetic import study

CASES: dict[str, dict[str, bool | int | None]] = {
    "full": {},
    "held-out points not measured": {"measured": False},
    "no bootstrap": {"resamples": None},
    "one seed": {"replicated": False},
    "refused": {"refused": True},
    "no ledger": {"forecast": False},
    "nothing but the fit": {"measured": False, "resamples": None, "replicated": False, "forecast": False},
}


def words(report: StudyReport) -> str:
    return page(content(report, ()), {})


def tables(report: StudyReport) -> dict[str, Table]:
    blocks = [block for section in content(report, ()).sections for block in section.blocks]
    return {block.name: block for block in blocks if isinstance(block, Table)}


@pytest.mark.parametrize("case", CASES)
def test_words_are_whole_in_every_case(case: str) -> None:
    report = study(**CASES[case])  # type: ignore[arg-type]
    read = Page(words(report))
    assert len(read.ids) == len(set(read.ids))
    assert set(read.references) <= set(read.ids)
    text = "".join(read.text)
    assert not re.search(r"\bnan\b", text.replace("<nan>", ""))  # the planted reason of the diverged run
    assert "None" not in text
    assert markdown(content(report, ())).startswith("# ")


def test_each_error_says_whose_it_is() -> None:
    """Of the forecasts, which are averages, and of the formula that is printed: their signs too."""
    found = answer(study()).blocks
    said = next(block.sentence for block in found if isinstance(block, Verdict))
    facts = {fact.label: fact for block in found if isinstance(block, Facts) for fact in block.facts}
    alone = facts["Mean error of the formula alone"]
    assert facts["Mean error of the forecast"].value != alone.value
    assert "the forecasts, averages of 12 candidates, made before they were trained, are off by" in said
    assert f"The formula alone is off by {alone.value}, every one too high." in said
    assert alone.note.endswith("every one too high")


def without_scripts(html: str) -> str:
    return re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


def test_page_needs_nothing_but_itself(folder: Path) -> None:
    html = (folder / "index.html").read_text()
    read = Page(html)
    assert len(read.ids) == len(set(read.ids))
    assert set(read.references) <= set(read.ids)
    assert read.loads == ["../fits.json"]
    own = without_scripts(html)  # plotly names its licences' pages
    assert "://" not in own
    assert html.count("<script") == own.count('<script type="application/json"') + 4 == 5
    assert not {"link", "iframe", "object", "embed"} & set(read.tags)
    assert not re.search(r"@import|url\((?!#)", own)
    assert len(html) < 3_000_000


def test_page_is_semantic(folder: Path) -> None:
    html = (folder / "index.html").read_text()
    read = Page(html)
    assert read.headings.count("h1") == 1
    levels = [int(tag[1]) for tag in read.headings]
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert html.count("<table") == html.count("<caption ") > 5
    svgs = len(re.findall(r'<svg role="img" aria-label="[^"]{40,}"', html))
    assert svgs == len(re.findall(r'class="live" role="img" aria-label="[^"]{40,}"', html)) == 13
    assert all(
        'scope="' in cell for cell in re.findall(r"<th[^>]*>", without_scripts(html)) if not cell.startswith("<thead")
    )


def test_text_of_a_study_is_never_markup(report: StudyReport) -> None:
    sly = "<script>alert('x')</script> & \"quotes\" | pipe"
    report = replace(report, study=sly, question=sly, command=sly, corpus=sly)
    html, text = words(report), markdown(content(report, ()))
    assert html.count("<script") == words(study()).count("<script")
    assert "alert('x')" not in html
    assert escape(sly) in html
    assert "<script" not in text.replace("\\<", "")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(len(re.split(r"(?<!\\)\|", row)) >= 4 for row in rows)


def test_every_point_is_in_the_table(report: StudyReport) -> None:
    rows = tables(report)["points"].rows
    assert len(rows) == len(report.plan.points) == len(report.records)
    cells = {(row[-1], row[4]) for row in rows}
    assert len(cells) == len(rows)
    losses = [row[7:9] for row in rows]
    for record in report.records:
        if record.final_loss_nats is not None:
            assert (nats(record.final_loss_nats), nats(record.loss_sem_nats)) in losses


def test_the_table_of_points_sorts_by_its_numbers(report: StudyReport) -> None:
    table = tables(report)["points"]
    headings = [column.heading for column in table.columns]
    loss = headings.index("Loss (nats/token)")
    for row, keys in zip(table.rows, table.sort_keys, strict=True):
        assert row[loss] == nats(keys[loss])
    assert "MFU" not in headings, "nothing measured it"
    fast = replace(report, records=(replace(report.records[0], mfu=0.314), *report.records[1:]))
    table = tables(fast)["points"]
    column = [column.heading for column in table.columns].index("MFU")
    assert [row[column] for row in table.rows if row[column] != "–"] == ["31.4%"]


def test_points_not_measured_yet_are_in_the_table() -> None:
    report = study(measured=False)
    rows = tables(report)["points"].rows
    assert len(rows) == len(report.plan.points) > len(report.records)
    missing = [row for row in rows if "not measured yet" in row]
    assert len(missing) == report.plan.num_held_out
    assert all(row[7] == "–" for row in missing)


def test_a_diverged_run_is_excluded_with_its_reason(report: StudyReport) -> None:
    (diverged,) = [record for record in report.records if record.status == "diverged"]
    (row,) = tables(report)["exclusions"].rows
    assert row[0] == diverged.run_id
    assert row[2] == diverged.reason
    assert escape(diverged.reason or "") in words(report)


def test_a_measured_point_that_nobody_names_is_still_listed(report: StudyReport) -> None:
    fewer = report.fitted.take(range(1, len(report.fitted)))
    report = replace(report, exclusions=(), fitted=fewer, fitted_records=report.fitted_records[1:])
    reasons = [row[2] for row in tables(report)["exclusions"].rows]
    assert len(reasons) == 2
    assert all(reasons)


def test_a_refused_fit_shows_its_reason_and_no_number() -> None:
    report = study(refused=True)
    assert report.surface.fit.status == "refused"
    html = words(report)
    assert "No law" in html
    assert escape(report.surface.fit.message) in html
    found = tables(report)
    assert not {"parameters", "optima"} & set(found)
    (row,) = [row for row in found["fits"].rows if row[0] == report.surface.title]
    assert row[2].startswith("refused, not a result: ")
    assert row[3:] == ("none", str(report.surface.fit.num_points), "–", "–", "–")


@pytest.mark.parametrize("status", ["at_bound", "unidentified"])
def test_numbers_of_a_doubtful_fit_stand_under_its_status_only(report: StudyReport, status: str) -> None:
    doubtful = replace(report.surface.fit, status=status, message="E = 0 is a bound & no estimate")
    report = replace(report, laws=(replace(report.surface, fit=doubtful), *report.laws[1:]))
    found = tables(report)
    assert not {"parameters", "optima"} & set(found)
    (row,) = [row for row in found["fits"].rows if row[0] == report.surface.title]
    assert "not a result: E = 0 is a bound & no estimate" in row[2]
    blocks = content(report, ()).sections[0].blocks
    assert len(blocks) == 1, "the answer is the verdict alone"


def test_a_doubtful_convention_shows_no_number(report: StudyReport) -> None:
    first, other = report.conventions
    doubtful = Answer(other.source, "at_bound", "E = 0 is a bound", None, None, None)
    rows = tables(replace(report, conventions=(first, doubtful)))["conventions"].rows
    assert rows[0][1] == "converged"
    assert rows[1][1:] == ("at bound: E = 0 is a bound", "–", "–", "–")


def test_forecasts_stand_beside_what_was_measured(report: StudyReport) -> None:
    rows = tables(report)["forecasts"].rows
    assert len(rows) == len(report.forecasts)
    for forecast in report.forecasts:
        assert forecast.measured is not None
        error = f"{100 * (forecast.relative_error or 0):+.2f}%".replace("-", "−")
        assert any(nats(forecast.predicted) in row and nats(forecast.measured) in row and error in row for row in rows)


def test_findings_come_before_the_evidence_gravest_first() -> None:
    html = words(study(refused=True))
    order = [html.index(text) for text in ("Refuse</span>", "Warn</span>", "Info</span>", "Evidence</h2>")]
    assert order == sorted(order)


def test_the_verdict_follows_the_evidence(report: StudyReport) -> None:
    def verdict(report: StudyReport) -> str:
        return content(report, ()).sections[0].blocks[0].words  # type: ignore[union-attr]

    assert verdict(report) == "A law, with reservations"
    assert verdict(replace(report, findings=())) == "A law that holds on unseen points"
    missed = tuple(replace(f, measured=2 * f.predicted) for f in report.forecasts)
    assert verdict(replace(report, findings=(), forecasts=missed)) == "Fitted, but it misses unseen points"
    assert verdict(study(measured=False)) == "Fitted, not yet tested"
    grave = replace(report.findings[0], level="refuse")
    assert verdict(replace(report, findings=(grave,))) == f"Refused: {grave.name}"
    overruled = replace(report, findings=(replace(grave, forced=True),))
    assert verdict(overruled) == f"Forced past 1 refusal: {grave.name}"


def test_missing_noise_is_said(report: StudyReport) -> None:
    assert "seed noise unknown" in words(replace(report, noise=None))
    assert "seed noise 0.81%" in words(report)


def test_markdown_points_to_files_that_exist(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    pictures = re.findall(r"!\[[^\]]{40,}\]\(([^)]+)\)", text)
    assert len(pictures) == 13
    assert all((folder / picture).stat().st_size > 1000 for picture in pictures)


def test_our_stale_figures_are_removed_and_nobody_elses(report: StudyReport, tmp_path: Path) -> None:
    picture = Picture(svg="<svg/>", png=b"ours")
    write_report(report, tmp_path, Figures(pictures={"old": picture, "edited": picture}))
    folder = tmp_path / "report" / "figures"
    (folder / "mine.png").write_bytes(b"mine")
    (folder / "edited.png").write_bytes(b"what I made of it")
    page = write_report(report, tmp_path, Figures())
    assert sorted(path.name for path in folder.iterdir()) == ["edited.png", "mine.png"]
    assert "No figure was drawn" in page.read_text()

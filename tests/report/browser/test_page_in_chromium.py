"""What a reader meets: points that say what they are, tables that sort and filter, no network, any width and theme."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from scaling.report.figures.catalogue import draw_figures
from scaling.report.numbers import nats
from scaling.report.write import write_report
from scaling.results import StudyReport

from .many_runs import many

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Scheme = Literal["light", "dark"]
DRAW_ALL = (Path(__file__).parents[3] / "scripts/draw_all.js").read_text()


@contextmanager
def opened(
    browser: "Browser", index: Path, width: int = 1600, scheme: Scheme = "light", **how: Any
) -> "Iterator[Page]":
    """The page with every figure drawn; a complaint of the console or any request of the network fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **how)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url != index.as_uri() else None)
    page.goto(index.as_uri())
    if how.get("java_script_enabled", True):
        page.evaluate(DRAW_ALL)
    yield page
    assert complaints == []
    context.close()


@pytest.fixture(scope="module")
def index(folder: Path) -> Path:
    return folder / "index.html"


def test_a_point_says_what_it_is(browser: "Browser", index: Path, report: StudyReport) -> None:
    with opened(browser, index) as page:
        place = page.locator('[data-figure="contours"]')
        place.scroll_into_view_if_needed()
        first = place.locator(".scatterlayer .trace .points path").first
        box = first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        said = place.locator(".hoverlayer .hovertext")
        said.wait_for()
        words = said.text_content() or ""
    record = report.fitted_records[0]
    spec = report.plan.by_id[record.run_id]
    assert record.run_id in words
    assert nats(record.final_loss_nats) in words
    assert f"{spec.optimizer.batch_tokens / 1000:.3g}" in words
    assert "fitted · done" in words


def test_the_table_of_points_sorts_and_filters(browser: "Browser", index: Path, report: StudyReport) -> None:
    losses = sorted(r.final_loss_nats for r in report.records if r.final_loss_nats is not None)
    with opened(browser, index) as page:
        table = page.locator("table.sortable")
        head = table.locator("th", has_text="Loss (nats/token)")
        column = head.evaluate("head => head.cellIndex")
        shown = f"table => [...table.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[{column}].textContent)"
        for key, direction, values in (("Enter", "ascending", losses), (" ", "descending", losses[::-1])):
            head.locator("button").focus()
            page.keyboard.press(key)
            assert head.get_attribute("aria-sort") == direction
            # The diverged point has no loss, and comes last either way.
            assert table.evaluate(shown) == [*(nats(value) for value in values), "–"]
        page.get_by_label("Show rows with").fill("held out done")
        assert table.evaluate(shown) == [
            nats(loss) for loss in sorted((r.final_loss_nats or 0 for r in report.held_out_records), reverse=True)
        ]
        assert page.locator(".filter output").text_content() == (
            f"{len(report.held_out_records)} of {len(report.records)} rows"
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_axe_calls_serious(browser: "Browser", index: Path, scheme: Scheme) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with opened(browser, index, scheme=scheme) as page:
        found = axe.Axe().run(page).response["violations"]
    grave = [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in ("serious", "critical")]
    assert grave == []


@pytest.mark.parametrize("width", [400, 1600])
def test_nothing_makes_the_page_scroll_sideways(browser: "Browser", index: Path, width: int) -> None:
    with opened(browser, index, width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_figures_follow_the_theme(browser: "Browser", index: Path) -> None:
    colour = "getComputedStyle(document.querySelector('[data-figure=contours] .xtick text')).fill"
    with opened(browser, index) as page:
        assert page.evaluate(colour) == "rgb(34, 34, 34)"
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(f"{colour} === 'rgb(232, 233, 235)'")


def test_paper_and_readers_without_scripts_get_still_pictures(browser: "Browser", index: Path) -> None:
    with opened(browser, index) as page:
        still, live = page.locator(".still svg").first, page.locator(".live").first
        assert live.is_visible()
        assert not still.is_visible()
        page.emulate_media(media="print")
        assert still.is_visible()
        assert not live.is_visible()
    with opened(browser, index, java_script_enabled=False) as page:
        assert page.locator(".still svg").first.is_visible()


@pytest.mark.slow
def test_five_hundred_runs_are_small_and_quick(browser: "Browser", report: StudyReport, tmp_path: Path) -> None:
    large = many(report, 50)
    assert len(large.curves) >= 500
    assert len(large.records) >= 1500, "three points a run"
    index = write_report(large, tmp_path, draw_figures(large))
    assert index.stat().st_size < 6_000_000
    page = browser.new_page(viewport={"width": 1600, "height": 900})
    # Processor time of the page's own thread: other processes on the machine do not count.
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(index.as_uri())
    metrics = {m["name"]: m["value"] for m in tools.send("Performance.getMetrics")["metrics"]}
    page.close()
    assert metrics["TaskDuration"] < 3

"""TensorBoard's own page opens a study of a hundred runs and shows its points, its text and its charts."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from scaling.report.figures.plate import Figures
from scaling.report.reading import sizes
from scaling.report.tensorboard import write_analysis_events
from scaling.results import StudyReport

from .many_runs import many

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE = 60  # seconds


@pytest.fixture(scope="module")
def hundred(report: StudyReport) -> StudyReport:
    return many(report, 10)


@pytest.fixture(scope="module")
def address(hundred: StudyReport, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("study")
    write_analysis_events(hundred, folder, Figures())
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(folder)}
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{address}/data/runs") as answer:
                if b"analysis" in answer.read():
                    break
        except OSError:
            pass
        assert server.poll() is None
        assert time.monotonic() < end, "TensorBoard did not start"
        time.sleep(0.2)
    yield address
    server.terminate()
    server.wait()


def test_hparams_shows_a_hundred_runs(browser: "Browser", address: str, hundred: StudyReport) -> None:
    assert len({record.run_id for record in hundred.records}) == 100
    page = browser.new_page(viewport={"width": 1600, "height": 1200})
    page.goto(f"{address}/#hparams")
    page.get_by_text("Show Metrics").first.wait_for(timeout=PATIENCE * 1000)
    page.close()


@contextmanager
def analysis_run(browser: "Browser", address: str, tab: str) -> "Iterator[Page]":
    """A tab with the run `analysis` alone: of more than forty runs TensorBoard ticks none."""
    page = browser.new_page(viewport={"width": 1600, "height": 1200})
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(f"{address}/#{tab}")
    page.get_by_label("Write a regex to filter runs").filter(visible=True).first.fill("analysis$")
    yield page
    page.close()


def test_the_text_has_the_plan_and_the_findings(browser: "Browser", address: str, hundred: StudyReport) -> None:
    with analysis_run(browser, address, "text") as page:
        page.get_by_text(hundred.findings[-1].remedy).first.wait_for()
        page.get_by_text("The plan").first.wait_for()


def test_custom_scalars_draws_the_final_losses(browser: "Browser", address: str, hundred: StudyReport) -> None:
    with analysis_run(browser, address, "custom_scalars") as page:
        page.get_by_text("final loss of each size").first.wait_for()
        page.get_by_text(f"Matches ({len(sizes(hundred))})").first.wait_for()

"""A disk that fails at any of the writes of a study's life: told in a paragraph, and the same command afterwards ends
with the undisturbed study."""

import importlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.command import told_in_one_paragraph
from scaling.config import StudyConfig
from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig
from scaling.data.prepare import prepare
from scaling.exits import EXIT_BAD_CONFIG, EXIT_DONE
from scaling.recommend import from_study
from scaling.records import record_path
from scaling.specs import Plan
from scaling.stages import finish
from scaling.stages.finish import finish_study, forecast_held_out
from scaling.stages.study import make_tasks, write_plan
from scaling.store import read_forecasts
from scaling.training.worker import run_folder
from scaling.values import remove_left_overs
from tests.faults import KINDS, Disk, Kind, failing
from tests.planted_study import plant
from tests.study.test_commands import ROOT, command, finished, losses, text_folder
from tests.test_configs import load
from tests.test_recommend import options
from tests.tiny_run import make_run, make_spec

__all__ = ["finished", "text_folder"]

recommend = importlib.import_module("scaling.recommend")  # the command: `scaling.recommend` is the function

Life = Callable[[Path], object]  # everything that a command does below a folder; what it returns is the end

SPEC = make_spec(steps=(8, 12))
OPTIONS = ("fit.bootstrap=0", "fit.figures=false", "study=default", "runtime.device=cpu")


@pytest.fixture(scope="module")
def a_run(corpus_folder: Path) -> Life:
    def live(folder: Path) -> object:
        _, run = make_run(folder, SPEC, corpus_folder, checkpoint_every_seconds=0.0, tensorboard=True)
        assert run_folder(run) == EXIT_DONE
        return [json.loads(record_path(run, b).read_text())["final_loss_nats"] for b in SPEC.budgets]

    return live


@pytest.fixture(scope="module")
def a_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Of a planted law: plan, jobs, forecasts, the records of training, a recommendation, laws and report.

    What is only computed, which is nearly all of the time, is computed once: the losses are always the same.
    """
    planted = tmp_path_factory.mktemp("planted")
    template = load(f"runs={planted}", f"cache={planted / 'cache'}", *OPTIONS)
    asked = options(planted, "study=default", "flops=1e14")
    plan = plant(template)

    def live(folder: Path) -> object:
        config = replace(template, runs=str(folder))
        write_plan(config, plan)
        make_tasks(config, plan, dict.fromkeys({run.corpus for run in plan.runs}, folder), plan.points, wave=1)
        train(config, plan, planted, held_out=False)
        forecast_held_out(config, plan)
        train(config, plan, planted, held_out=True)
        from_study(replace(asked, runs=str(folder)))
        finished = finish_study(config, plan, ())
        if finished.unwritten is not None:
            raise finished.unwritten
        return end_of(config.folder)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_fit", "forecast"):
            patch.setattr(finish, name, computed_once(getattr(finish, name)))
        for name in ("answer_for", "SelectedForecast", "shape_for"):
            patch.setattr(recommend, name, computed_once(getattr(recommend, name)))
        live(tmp_path_factory.mktemp("first"))
        yield live


def computed_once(function: Callable[..., object]) -> Callable[..., object]:
    found: list[object] = []

    def call(*arguments: object, **options: object) -> object:
        if not found:
            found.append(function(*arguments, **options))
        return found[0]

    return call


def train(config: StudyConfig, plan: Plan, planted: Path, *, held_out: bool) -> None:
    """Link the planted records, which is no write here: a run has a life of its own. What a kill left in its folder its
    worker clears, and the end of a sweep."""
    for point in plan.points:
        if point.held_out == held_out:
            path = record_path(config.folder / point.run_id, point.tokens)
            remove_left_overs(path.parent)
            if not path.exists():
                path.hardlink_to(record_path(planted / "default" / point.run_id, point.tokens))


def end_of(folder: Path) -> object:
    """Report and exports byte for byte, but for the page, which quotes times; of the ledger what is no time."""
    names = ["report/report.md", "points.csv"]
    analysis = sorted(path for path in (folder / "analysis").rglob("*") if path.is_file())
    files = [(path.name, path.read_bytes()) for path in [*(folder / name for name in names), *analysis]]
    ledger = [(f.key, f.predicted, f.measured) for f in read_forecasts(folder)]
    left = [path.name for path in folder.rglob("*") if path.name.endswith((".tmp", ".corrupt"))]
    return files, ledger, left


@pytest.fixture(scope="module")
def a_corpus(tmp_path_factory: pytest.TempPathFactory) -> Life:
    text = tmp_path_factory.mktemp("text")
    for i in range(12):
        (text / f"{i}.txt").write_text(" ".join(f"word{(i * 7 + j * j) % 13}" for j in range(200)))
    config = DataConfig(
        name="words",
        source=SourceConfig(kind="local", path=str(text)),
        tokenizer=TokenizerConfig(kind="bytes"),
        licence="none",
        description="words",
        validation_fraction=0.2,
    )

    def live(folder: Path) -> object:
        prepared = prepare(config, folder)
        assert {path.name for path in folder.iterdir()} <= {prepared.name, f".{prepared.name}.lock"}
        return {path.name: path.read_bytes() for path in prepared.iterdir()}

    return live


def attempt(life: Life, folder: Path, disk: Disk) -> tuple[list[int], object]:
    """The exit codes that the command would give, and what it returned; nothing may be raised that is not told."""
    codes: list[int] = []
    ended = None
    with told_in_one_paragraph(codes), failing(disk):
        ended = life(folder)
    return codes, ended


def check(
    life: Life, root: Path, moments: Callable[[int], range], kind: Kind, capsys: pytest.CaptureFixture[str]
) -> int:
    calm = Disk(root / "calm")
    codes, undisturbed = attempt(life, root / "calm" / "runs", calm)
    assert codes == []
    for moment in moments(calm.writes):
        folder = root / f"{kind}-{moment}"
        disk = Disk(folder, moment, kind)
        codes, ended = attempt(life, folder / "runs", disk)
        told = capsys.readouterr().err
        assert disk.failed, (moment, disk.writes, calm.writes, codes, told)
        assert "Traceback" not in told, told
        if codes:
            assert codes == [EXIT_BAD_CONFIG], disk.failed
            assert any(words in told for words in ("cannot be written", "is full")), (disk.failed, told)
        else:
            assert ended == undisturbed, disk.failed
        codes, ended = attempt(life, folder / "runs", Disk(folder))
        assert codes == [], (disk.failed, capsys.readouterr().err)
        assert ended == undisturbed, disk.failed
        shutil.rmtree(folder)
    return calm.writes


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, kind) for name in ("a_run", "a_corpus") for kind in KINDS), ("a_study", "torn")]
)
def test_a_failing_disk_is_told_and_loses_nothing(
    name: str, kind: Kind, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of the moments; the slow test below takes them all."""
    life, first = request.getfixturevalue(name), KINDS.index(kind)
    assert check(life, tmp_path, lambda writes: range(first, writes, writes // 2), kind, capsys) > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a_run", "a_study", "a_corpus"])
def test_at_every_moment(
    name: str, kind: Kind, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writes = check(request.getfixturevalue(name), tmp_path, range, kind, capsys)
    with capsys.disabled():
        print(f"\n{name}, {kind}: {writes} writes failed in turn")


ON_A_SMALL_DISK = """
mount -t tmpfs -o size={size} tmpfs {disk} && {sweep} >{out}/1.out 2>{out}/1.err; echo $? >{out}/1.code
mount -o remount,ro {disk} && {fit} >{out}/2.out 2>{out}/2.err; echo $? >{out}/2.code
mount -o remount,rw,size=80m {disk} && {sweep} >{out}/3.out 2>{out}/3.err; echo $? >{out}/3.code
mount -o remount,ro {disk} && {fit} >{out}/4.out 2>{out}/4.err; echo $? >{out}/4.code
cp -r {disk}/runs {out}
"""


@pytest.mark.slow  # two sweeps for each size
@pytest.mark.parametrize("size", ["300k", "700k", "1500k", "3m"])
def test_a_sweep_on_a_disk_that_fills_goes_on_when_it_is_larger(
    size: str, tmp_path: Path, text_folder: Path, finished: Path
) -> None:
    """A file system in memory, of so many bytes, that only this test's own processes see; read-only for a fit."""
    own_mounts = ["unshare", "--mount", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*own_mounts, "true"], check=False).returncode:
        pytest.skip("no file systems of one's own here (unshare --mount)")
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    sweep = command(disk, text_folder, "runtime.checkpoint_every_seconds=0.2")
    fit = [sys.executable, "-m", "scaling.fit", "study=tiny", f"runs={disk / 'runs'}", f"cache={disk / 'cache'}"]
    script = ON_A_SMALL_DISK.format(size=size, disk=disk, out=out, sweep=shlex.join(sweep), fit=shlex.join(fit))
    ran = subprocess.run([*own_mounts, "sh", "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    said = {path.name: path.read_text() for path in out.iterdir() if path.is_file()}
    assert ran.returncode == 0, (ran.stderr, said)
    assert "Traceback" not in "".join(said.values())
    assert not [path for path in (out / "runs").rglob("log.txt") if "Traceback" in path.read_text()]
    assert said["1.code"].strip() in ("1", "2")
    assert any(words in said["1.err"] for words in ("No space left", "is full")), said["1.err"]
    assert said["3.code"].strip() == "0", said["3.err"]
    assert losses(out) == losses(finished)
    assert [path for path in out.rglob("*") if path.name.endswith((".tmp", ".corrupt", ".damaged"))] == []
    assert said["4.code"].strip() == "2"
    assert "Read-only file system" in said["4.err"]
    assert "Forced" in said["4.out"] or "law" in said["4.out"], "the verdict is told though it cannot be kept"

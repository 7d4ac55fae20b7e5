"""Sends the points of a study that have ended to its sinks, each once; a sink that fails ends nothing."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from scaling.folders import study_lock
from scaling.records import RunRecord
from scaling.sinks.point import Sink, SinkError, finished_point
from scaling.specs import Plan
from scaling.values import ValueMismatch, read_json, write_json

SENT_FILE = "sinks.json"


def open_sink(name: str, study_folder: Path) -> Sink:
    """Imported late: these packages take seconds, and most studies name none."""
    if name == "wandb":
        from scaling.sinks.wandb_sink import WandbSink

        return WandbSink(study_folder)
    from scaling.sinks.mlflow_sink import MlflowSink

    return MlflowSink()


def publish(
    names: Iterable[str],
    plan: Plan,
    records: Sequence[RunRecord],
    study_folder: Path,
    *,
    tell: Callable[[str], None],
    open_: Callable[[str, Path], Sink] = open_sink,
) -> None:
    """Send what has not been sent. What was is in `sinks.json`, written after each point.

    A sink's first failure is told in a sentence, and the rest of its points wait for the next call. Raises OSError.
    """
    ended = [
        finished_point(plan.study, plan.by_id[record.run_id], record, study_folder / record.run_id)
        for record in records
        if record.run_id in plan.by_id
    ]
    for name in names:
        done = set(_sent(study_folder).get(name, ()))
        waiting = [point for point in ended if point.id not in done]
        try:
            if not waiting:
                continue
            sink = open_(name, study_folder)
            for point in waiting:
                sink.send(point)
                done.add(point.id)
                _note(study_folder, name, point.id)
        except SinkError as error:
            tell(f"{name}: {error} ({len(done)} points are there; the next command tries the others again)")


def _sent(study_folder: Path) -> dict[str, tuple[str, ...]]:
    """The points that are there, by sink; none where the file cannot be read: a point sent again replaces itself."""
    try:
        return read_json(dict[str, tuple[str, ...]], study_folder / SENT_FILE)
    except (FileNotFoundError, ValueMismatch):
        return {}


def _note(study_folder: Path, name: str, point_id: str) -> None:
    """Beside what other commands have noted meanwhile."""
    with study_lock(study_folder):
        sent = _sent(study_folder)
        write_json(study_folder / SENT_FILE, sent | {name: (*sent.get(name, ()), point_id)})

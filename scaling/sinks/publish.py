"""Sends the points of a study that have ended to its sinks, each once; a sink that fails ends nothing."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from scaling.folders import study_lock
from scaling.records import RunRecord
from scaling.sinks.point import Sink, SinkError, finished_point, point_id
from scaling.specs import Plan
from scaling.values import ValueMismatch, read_json, write_json

SENT_FILE = "sinks.json"
SECONDS_BETWEEN_NOTES = 1.0


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
    """Send what has not been sent. What was is in `sinks.json`, written at most every `SECONDS_BETWEEN_NOTES`: a point
    that a kill kept from being noted is sent again, and replaces itself.

    A sink's first failure is told in a sentence, and the rest of its points wait for the next call. Raises OSError.
    """
    ended = {point_id(record): record for record in records if record.run_id in plan.by_id}
    for name in names:
        done = set(_sent(study_folder).get(name, ()))
        waiting = [record for id_, record in ended.items() if id_ not in done]
        new: list[str] = []
        noted_at = time.monotonic()
        try:
            if not waiting:
                continue
            sink = open_(name, study_folder)
            for record in waiting:
                spec = plan.by_id[record.run_id]
                sink.send(finished_point(plan.study, spec, record, study_folder / record.run_id))
                new.append(point_id(record))
                if time.monotonic() - noted_at > SECONDS_BETWEEN_NOTES:
                    _note(study_folder, name, new)
                    done, new, noted_at = done.union(new), [], time.monotonic()
        except SinkError as error:
            there = len(done) + len(new)
            tell(f"{name}: {error} ({there} points are there; the next command tries the others again)")
        finally:
            if new:
                _note(study_folder, name, new)


def _sent(study_folder: Path) -> dict[str, tuple[str, ...]]:
    """The points that are there, by sink; none where the file cannot be read: a point sent again replaces itself."""
    try:
        return read_json(dict[str, tuple[str, ...]], study_folder / SENT_FILE)
    except (FileNotFoundError, ValueMismatch):
        return {}


def _note(study_folder: Path, name: str, new: Sequence[str]) -> None:
    """Beside what other commands have noted meanwhile."""
    with study_lock(study_folder):
        sent = _sent(study_folder)
        write_json(study_folder / SENT_FILE, sent | {name: tuple(dict.fromkeys((*sent.get(name, ()), *new)))})

"""Points that have ended go to each sink once; a sink that fails ends nothing and is told once."""

from pathlib import Path

import pytest

from scaling.curves import CurveRow, curve_path
from scaling.sinks.config import require_known
from scaling.sinks.point import FinishedPoint, Sink, SinkError, finished_point
from scaling.sinks.publish import publish
from scaling.values import to_plain
from tests.analysis.conftest import make_record, make_records
from tests.planning.conftest import plan


class Remembering:
    """Takes `room` points and then fails."""

    def __init__(self, room: int = 10**6) -> None:
        self.room, self.points = room, list[FinishedPoint]()

    def send(self, point: FinishedPoint) -> None:
        if len(self.points) == self.room:
            raise SinkError("the service is down")
        self.points.append(point)


def send(folder: Path, sinks: dict[str, Remembering], records: list) -> list[str]:  # type: ignore[type-arg]
    told: list[str] = []

    def open_(name: str, _: Path) -> Sink:
        return sinks[name]

    publish(sinks, plan(), records, folder, tell=told.append, open_=open_)
    return told


def test_each_point_is_sent_once_to_each_sink(tmp_path: Path) -> None:
    records, sinks = make_records(plan()), {"wandb": Remembering(), "mlflow": Remembering()}
    assert send(tmp_path, sinks, records[:3]) == []
    assert send(tmp_path, sinks, records) == []
    for sink in sinks.values():
        assert [point.id for point in sink.points] == [f"{r.run_id}-{r.budget_tokens}" for r in records]


def test_a_failure_is_told_once_and_the_rest_is_sent_by_the_next_command(tmp_path: Path) -> None:
    records, broken, whole = make_records(plan()), Remembering(room=2), Remembering()
    told = send(tmp_path, {"wandb": broken, "mlflow": whole}, records)
    assert len(told) == 1
    assert told[0].startswith("wandb: the service is down (2 points are there")
    assert len(whole.points) == len(records)
    mended = Remembering()
    assert send(tmp_path, {"wandb": mended, "mlflow": whole}, records) == []
    assert len(mended.points) == len(records) - 2
    assert len(whole.points) == len(records)


def test_a_point_has_its_own_curve_and_no_loss_that_was_not_measured(tmp_path: Path) -> None:
    planned = plan()
    point = planned.points[0]
    spec = planned.by_id[point.run_id]
    leaves = spec.cooldown_start(point.tokens) * spec.optimizer.batch_tokens
    write_curve(curve_path(tmp_path, None), [leaves - 1, leaves, leaves + 1])
    write_curve(curve_path(tmp_path, point.tokens), [leaves + 2, point.tokens])
    sent = finished_point("s", spec, make_record(planned, point, None), tmp_path)
    assert [tokens for tokens, _ in sent.curve] == [leaves - 1, leaves, leaves + 2, point.tokens]
    assert "grad_norm" not in sent.curve[0][1]
    assert sent.curve[0][1]["train_loss_nats"] == 2.0
    assert sent.results["status"] == "diverged"
    assert "final_loss_nats" not in sent.results


def write_curve(path: Path, tokens: list[int]) -> None:
    import json

    rows = [CurveRow(t, train_loss_nats=2.0, learning_rate=0.1, grad_norm=None, tokens_per_second=1.0) for t in tokens]
    path.write_text("".join(json.dumps(to_plain(row)) + "\n" for row in rows))


def test_an_unknown_sink_is_refused() -> None:
    with pytest.raises(ValueError, match="no such sink exists: there is mlflow, wandb"):
        require_known(["comet"])


def test_what_another_command_sends_meanwhile_stays_noted(tmp_path: Path) -> None:
    records, beside = make_records(plan()), Remembering()

    class Interrupted(Remembering):
        def send(self, point: FinishedPoint) -> None:
            send(tmp_path, {"mlflow": beside}, records)
            super().send(point)

    slow = Interrupted()
    assert send(tmp_path, {"wandb": slow}, records[:2]) == []
    assert send(tmp_path, {"wandb": slow, "mlflow": beside}, records[:2]) == []
    assert (len(slow.points), len(beside.points)) == (2, len(records))
    (tmp_path / "sinks.json").write_text('{"wandb": "none"}')
    assert send(tmp_path, {"wandb": slow}, records[:2]) == []
    assert len(slow.points) == 4, "a file that cannot be read is none: a point sent again replaces itself"

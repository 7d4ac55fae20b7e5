"""A point as the two services keep it, offline: W&B's own file, MLflow's own folder."""

from pathlib import Path

import pytest

from scaling.sinks.point import FinishedPoint, SinkError

POINT = FinishedPoint(
    study="demo",
    id="10k-wsd-s0-1234567890-262144",
    size="10k",
    done=True,
    settings={"params": 14860, "schedule": "wsd"},
    results={"status": "done", "final_loss_nats": 1.875},
    curve=((512, {"train_loss_nats": 5.5}), (1024, {"train_loss_nats": 4.25})),
)


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    from scaling.sinks.wandb_sink import WandbSink

    monkeypatch.setenv("WANDB_MODE", "offline")
    WandbSink(tmp_path).send(POINT)
    wandb.teardown()  # what a process does at its end: the service writes what it still holds
    (kept,) = tmp_path.glob(f"wandb/offline-run-*/run-{POINT.id}.wandb")
    content = kept.read_bytes()
    assert all(text in content for text in (b"demo", b"train_loss_nats", b"4.25", b"final_loss_nats", b"1.875"))


def test_mlflow_keeps_one_run_of_a_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    from scaling.sinks.mlflow_sink import MlflowSink

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}")
    MlflowSink().send(POINT)
    MlflowSink().send(POINT)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("demo")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.data.params["params"], run.data.params["schedule"]) == ("14860", "wsd")
    assert run.data.metrics["final_loss_nats"] == 1.875
    history = client.get_metric_history(run.info.run_id, "train_loss_nats")
    assert [(m.step, m.value) for m in history] == [(512, 5.5), (1024, 4.25)]
    assert run.info.status == "FINISHED"


def test_a_service_that_cannot_be_reached_is_a_sink_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from scaling.sinks.mlflow_sink import MlflowSink

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port: nobody answers
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SinkError, match="127"):
        MlflowSink().send(POINT)

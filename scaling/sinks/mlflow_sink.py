"""MLflow: a run for each point, in the experiment named like the study, at MLFLOW_TRACKING_URI."""

import time

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from scaling.sinks.point import FinishedPoint, SinkError

MOST_METRICS_A_CALL = 1000  # of MLflow's own interface


class MlflowSink:
    def __init__(self) -> None:
        self._client: MlflowClient | None = None

    def send(self, point: FinishedPoint) -> None:
        try:
            self._client = self._client or MlflowClient()
            self._send(self._client, point)
        except (MlflowException, OSError) as error:
            raise SinkError(" ".join(str(error).split())) from error

    def _send(self, client: MlflowClient, point: FinishedPoint) -> None:
        experiment = client.get_experiment_by_name(point.study)
        experiment_id = client.create_experiment(point.study) if experiment is None else experiment.experiment_id
        text = {name: value for name, value in point.results.items() if isinstance(value, str)}
        for left_over in client.search_runs([experiment_id], f"tags.point = '{point.id}'"):
            client.delete_run(left_over.info.run_id)
        run = client.create_run(experiment_id, run_name=point.id, tags={"point": point.id, **text})
        now = time.time_ns() // 1_000_000
        metrics = [Metric(name, number, now, step) for step, row in point.curve for name, number in row.items()]
        end = point.curve[-1][0] if point.curve else 0
        metrics += [Metric(n, float(v), now, end) for n, v in point.results.items() if not isinstance(v, str)]
        settings = [Param(name, str(value)) for name, value in point.settings.items()]
        client.log_batch(run.info.run_id, params=settings)
        for start in range(0, len(metrics), MOST_METRICS_A_CALL):
            client.log_batch(run.info.run_id, metrics=metrics[start : start + MOST_METRICS_A_CALL])
        client.set_terminated(run.info.run_id, "FINISHED" if point.done else "FAILED")

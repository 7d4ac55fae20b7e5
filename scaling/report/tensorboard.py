"""TensorBoard's `analysis` run: figures, words, final losses by size and budget, and every point once in HParams.

Events are written record by record to files whose names and times come from the study, so that a second report of
the same study leaves the same bytes and no second, phantom copy of a run. No torch, no TensorFlow.
"""

import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from scaling.folders import replace_files
from scaling.laws.search import spread_rows
from scaling.records import RunRecord
from scaling.report.content import content, findings
from scaling.report.document import MOST_LISTED, Document, Section
from scaling.report.figures.plate import Figures
from scaling.report.markdown import markdown
from scaling.report.points import points_table
from scaling.report.tensorboard_charts import layout_value, loss_series
from scaling.results import StudyReport
from scaling.specs import Plan

ANALYSIS = "analysis"
HPARAMS = (
    "size", "params", "non_embedding_params", "tokens", "flops", "batch_tokens", "matrix_lr", "schedule", "init_seed",
    "corpus",
)  # fmt: skip
METRICS = {
    "final/loss_nats": "validation loss, nats/token",
    "final/bits_per_byte": "bits per byte",
    "final/perplexity": "perplexity",
    "final/tokens_per_second": "training tokens per second",
}
FEW_RUNS = 500
FILE_VERSION = "brain.Event:2"


def write_analysis_events(report: StudyReport, study_folder: Path, figures: Figures) -> Path:
    """Write `<study>/analysis/` anew and give it; points are runs below it, `analysis/<run>/budget-<tokens>`.

    `figures` are those of `draw_figures`. Of more than `MOST_LISTED` points `FEW_RUNS` are there, evenly spread:
    TensorBoard reads a file for each.
    """
    folder = study_folder / ANALYSIS
    when = max((_finished(record) for record in report.records), default=0.0)
    files = {f"{ANALYSIS}/{_file_name(when)}": _events(when, _analysis_values(report, when, figures))}
    count = len(report.records)
    for at in spread_rows(count, count if count <= MOST_LISTED else FEW_RUNS):
        record = report.records[at]
        finished = _finished(record)
        name = f"{ANALYSIS}/{record.run_id}/budget-{record.budget_tokens}/{_file_name(finished)}"
        values = _point_values(report.plan, record, finished)
        files[name] = _events(finished, ((record.steps, value) for value in values))
    replace_files(study_folder, ANALYSIS, files, flush=False)
    return folder


def _finished(record: RunRecord) -> float:
    return datetime.fromisoformat(record.provenance.finished_at).timestamp()


def _file_name(when: float) -> str:
    """TensorBoard reads the files of a run in the order of their names: a later report comes after an earlier one."""
    return f"events.out.tfevents.{int(when):010d}.report"


def _events(when: float, values: Iterable[tuple[int, Any]]) -> bytes:
    """An event file of summary values with their steps: one event each, all of one time."""
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    writer = RecordWriter(file)
    # The start of a session makes TensorBoard forget what an earlier file of the run said.
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    head = [event_pb2.Event(file_version=FILE_VERSION), event_pb2.Event(session_log=start)]
    for event in [*head, *(event_pb2.Event(summary=summary_pb2.Summary(value=[v]), step=step) for step, v in values)]:
        event.wall_time = when
        writer.write(event.SerializeToString(deterministic=True))
    return file.getvalue()


def _analysis_values(report: StudyReport, when: float, figures: Figures) -> Iterator[tuple[int, Any]]:
    from tensorboard.compat.proto import summary_pb2

    yield from ((0, value) for value in _still_values(report, when, figures))
    for tag, step, loss in loss_series(report):
        yield step, summary_pb2.Summary.Value(tag=tag, simple_value=loss)


def _still_values(report: StudyReport, when: float, figures: Figures) -> list[Any]:
    """What has no steps: the experiment, the layout, the words and the figures."""
    names = {panel.name: f"{group.name}/{panel.name}" for group in figures.groups for panel in group.panels}
    return [
        _experiment(report, when),
        layout_value(report.records),
        *(_text(name, words) for name, words in texts(report, figures).items()),
        *(_image(names.get(name, name), picture.png) for name, picture in figures.pictures.items()),
    ]


def texts(report: StudyReport, figures: Figures) -> dict[str, str]:
    """Pages of Markdown: the report, the plan with what came of it, and what the checks say."""
    parts = {
        "plan": Section("points", "The plan", (points_table(report),)),
        "findings": Section("findings", "What could be wrong", (findings(report),)),
    }
    pages = {name: Document(report.study, report.question, (section,)) for name, section in parts.items()}
    return {
        name: markdown(page, figures=None)
        for name, page in {"report": content(report, figures.groups), **pages}.items()
    }


def _point_values(plan: Plan, record: RunRecord, finished: float) -> list[Any]:
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo(
        group_name=f"{record.size} {record.budget_tokens} {record.run_id}", start_time_secs=finished - record.seconds
    )
    for name, value in point_hparams(plan, record).items():
        if isinstance(value, str):
            start.hparams[name].string_value = value
        else:
            start.hparams[name].number_value = value
    done = record.status == "done"
    end = plugin_data_pb2.SessionEndInfo(
        status=api_pb2.STATUS_SUCCESS if done else api_pb2.STATUS_FAILURE, end_time_secs=finished
    )
    metrics = point_metrics(record)
    return [
        _hparams("_hparams_/session_start_info", session_start_info=start),
        *(summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in metrics.items()),
        _hparams("_hparams_/session_end_info", session_end_info=end),
    ]


def point_hparams(plan: Plan, record: RunRecord) -> dict[str, str | float]:
    """What was asked of a point: the same keys for each, by `HPARAMS`."""
    spec = plan.by_id[record.run_id]
    values: dict[str, str | float] = {
        "size": record.size,
        "params": record.params.total,
        "non_embedding_params": record.params.non_embedding,
        "tokens": record.tokens,
        "flops": record.flops,
        "batch_tokens": spec.optimizer.batch_tokens,
        "matrix_lr": spec.optimizer.matrix_lr,
        "schedule": spec.schedule.kind,
        "init_seed": record.init_seed,
        "corpus": spec.corpus,
    }
    return {name: values[name] for name in HPARAMS}


def point_metrics(record: RunRecord) -> dict[str, float]:
    """What was measured, by `METRICS`; a point that failed has no loss, and none is made up for it."""
    values = dict(
        zip(
            METRICS,
            (record.final_loss_nats, record.bits_per_byte, record.perplexity, record.tokens_per_second),
            strict=True,
        )
    )
    return {tag: value for tag, value in values.items() if value is not None}


def _experiment(report: StudyReport, when: float) -> Any:
    from tensorboard.plugins.hparams import api_pb2

    points = [point_hparams(report.plan, record) for record in report.records]
    text, number = api_pb2.DATA_TYPE_STRING, api_pb2.DATA_TYPE_FLOAT64
    experiment = api_pb2.Experiment(
        name=report.study,
        description=report.question,
        time_created_secs=when,
        hparam_infos=[
            api_pb2.HParamInfo(
                name=name,
                type=text if name in ("size", "schedule", "corpus") else number,
                differs=len({point[name] for point in points}) > 1,
            )
            for name in HPARAMS
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=words) for tag, words in METRICS.items()
        ],
    )
    return _hparams("_hparams_/experiment", experiment=experiment)


def _hparams(tag: str, **data: Any) -> Any:
    """A summary that carries plugin data and no number."""
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    content_ = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **data)
    plugin = summary_pb2.SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=content_.SerializeToString(deterministic=True)
    )
    return summary_pb2.Summary.Value(
        tag=tag, metadata=summary_pb2.SummaryMetadata(plugin_data=plugin), tensor=metadata.NULL_TENSOR
    )


def _text(tag: str, words: str) -> Any:
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2
    from tensorboard.plugins.text import metadata

    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[words.encode()])
    return summary_pb2.Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(display_name=tag, description=""), tensor=tensor
    )


def _image(tag: str, png: bytes) -> Any:
    from tensorboard.compat.proto import summary_pb2

    # A PNG says its size in the first chunk, eight bytes of which are width and height.
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    image = summary_pb2.Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
    return summary_pb2.Summary.Value(tag=tag, image=image)

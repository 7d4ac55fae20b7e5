"""TensorBoard's custom scalars: final losses by size and by budget, and the layout that shows them.

A series is a tag of the analysis run, and its steps are tokens or parameters; a run of its own for each would be a
phantom among the real ones.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from scaling.records import RunRecord
from scaling.report.numbers import amount
from scaling.report.reading import sizes
from scaling.results import StudyReport

BY_SIZE, BY_BUDGET = "loss_by_size", "loss_by_budget"


def loss_series(report: StudyReport) -> Iterator[tuple[str, int, float]]:
    """(tag, step, loss): for each size by tokens, for each budget by parameters; means over seeds."""
    rank = {size: place for place, size in enumerate(sizes(report))}
    losses: dict[tuple[int, str, int, int], list[float]] = {}
    for record in report.records:
        if record.status == "done" and record.final_loss_nats is not None:
            key = rank[record.size], record.size, record.params.total, record.budget_tokens
            losses.setdefault(key, []).append(record.final_loss_nats)
    for (_, size, params, tokens), found in sorted(losses.items()):
        mean = sum(found) / len(found)
        yield f"{BY_SIZE}/{size}", tokens, mean
        yield f"{BY_BUDGET}/{amount(tokens)}", params, mean


def layout(records: Sequence[RunRecord]) -> Any:
    """Charts of the final losses, and of the curves of all runs. A chart takes every tag that its pattern finds."""
    from tensorboard.plugins.custom_scalar import layout_pb2

    def chart(title: str, *patterns: str) -> Any:
        return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=patterns))

    finals = [
        chart("final loss of each size (step: training tokens)", f"^{BY_SIZE}/"),
        chart("final loss of each budget (step: parameters)", f"^{BY_BUDGET}/"),
    ]
    curves = [chart("training loss", "^loss/train$"), chart("validation loss", "^loss/validation$")]
    categories = [layout_pb2.Category(title="curves of the runs", chart=curves)]
    if records:
        categories.insert(0, layout_pb2.Category(title="final losses", chart=finals))
    return layout_pb2.Layout(category=categories)


def layout_value(records: Sequence[RunRecord]) -> Any:
    """The summary that the plugin looks for."""
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2
    from tensorboard.plugins.custom_scalar import metadata

    data = layout(records).SerializeToString(deterministic=True)
    return summary_pb2.Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        metadata=metadata.create_summary_metadata(),
        tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[data]),
    )

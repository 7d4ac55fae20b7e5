"""What a point says of itself when a reader's pointer rests on it."""

from collections.abc import Callable

from scaling.laws.observations import Observations
from scaling.records import RunRecord
from scaling.report.numbers import MISSING, amount, nats, scientific, significant
from scaling.report.reading import roles
from scaling.results import LawReport, StudyReport

BREAK = "<br>"  # plotly's line break; run ids and table words have no "<" of their own left

Notes = Callable[[Observations], tuple[str, ...]]


def record_note(report: StudyReport, record: RunRecord, role: str) -> str:
    spec = report.plan.by_id.get(record.run_id)
    rate = MISSING if spec is None else significant(spec.optimizer.matrix_lr, 2)
    batch = MISSING if spec is None else amount(spec.optimizer.batch_tokens)
    sem = "" if record.loss_sem_nats is None else f" ± {nats(record.loss_sem_nats)}"
    return BREAK.join(
        (
            f"run {plain(record.run_id)}",
            f"N {amount(record.params.total)} · D {amount(record.tokens)} · C {scientific(record.flops)}",
            f"loss {nats(record.final_loss_nats)}{sem} nats/token",
            f"peak LR {rate} · batch {batch} tokens · seed {record.init_seed}",
            f"{role} · {record.status.replace('_', ' ')}",
        )
    )


def row_notes(report: LawReport) -> Notes:
    """A function from rows of the report to their notes: those of the records where it has them."""
    if not isinstance(report, StudyReport):
        return lambda rows: tuple(_row_note(rows, i) for i in range(len(rows)))
    use = roles(report)
    known = {(record.run_id, float(record.tokens)): record for record in report.records}

    def notes(rows: Observations) -> tuple[str, ...]:
        return tuple(note(rows, i) for i in range(len(rows)))

    def note(rows: Observations, i: int) -> str:
        record = known.get((str(rows.trajectory[i]), float(rows.tokens[i])))
        if record is None:
            return _row_note(rows, i)
        return record_note(report, record, use.get((record.run_id, record.budget_tokens), "not used"))

    return notes


def _row_note(rows: Observations, i: int) -> str:
    where = f"N {amount(rows.params[i])} · D {amount(rows.tokens[i])} · C {scientific(rows.flops[i])}"
    return BREAK.join((f"run {plain(str(rows.trajectory[i]))}", where, f"loss {nats(rows.loss[i])} nats/token"))


def plain(text: str) -> str:
    """Without the characters that plotly reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

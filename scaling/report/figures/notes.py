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
    known: dict[tuple[str, float], str] = {}
    if isinstance(report, StudyReport):
        use = roles(report)
        for record in report.records:
            role = use.get((record.run_id, record.budget_tokens), "not used")
            known[record.run_id, float(record.tokens)] = record_note(report, record, role)

    def notes(rows: Observations) -> tuple[str, ...]:
        keys = zip(rows.trajectory.tolist(), rows.tokens.tolist(), strict=True)
        return tuple(known.get(key) or _row_note(rows, i) for i, key in enumerate(keys))

    return notes


def _row_note(rows: Observations, i: int) -> str:
    where = f"N {amount(rows.params[i])} · D {amount(rows.tokens[i])} · C {scientific(rows.flops[i])}"
    return BREAK.join((f"run {plain(str(rows.trajectory[i]))}", where, f"loss {nats(rows.loss[i])} nats/token"))


def plain(text: str) -> str:
    """Without the characters that plotly reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""What points of somebody else's trainer show, and what of them nobody can check."""

import math
from collections import Counter
from collections.abc import Iterator

from scaling.checks.evidence import MeasuredStudy
from scaling.findings import Finding
from scaling.records import RunRecord

PAGE = "docs/your-own-trainer.md"


def mixed_code(study: MeasuredStudy) -> Iterator[Finding]:
    """A trainer that was changed between two points trained them differently."""
    codes = Counter(record.provenance.git_commit or "no commit known" for record in _theirs(study))
    if len(codes) > 1:
        yield Finding(
            "mixed_code",
            "warn",
            f"The points of one fit were trained by {len(codes)} states of the trainer's code: "
            + "; ".join(f"{count} points {code[:23]}" for code, count in codes.most_common(4))
            + ".",
            "Commit the trainer before a sweep; move the run folders of the others away and run the sweep again.",
            PAGE,
        )


def nats_of_bytes(study: MeasuredStudy) -> Iterator[Finding]:
    """Bits per byte become nats per token by the length of the validation text alone."""
    unknown = [
        record
        for record in _theirs(study)
        if (program := study.plan.by_id[record.run_id].program) is not None
        and program.unit == "bits/byte"
        and record.final_loss_nats is not None
        and record.bits_per_byte is not None
        and math.isclose(record.final_loss_nats, record.bits_per_byte * math.log(2.0), rel_tol=1e-9)
    ]
    if unknown:
        yield Finding(
            "nats_of_bytes",
            "warn",
            f"The losses of {len(unknown)} points are in bits/byte of a text whose tokens and bytes nobody gave: what "
            "is called nats/token here is nats per byte.",
            "Give trainer.validation the tokens and the bytes of its text; exponents and the best N stay as they are.",
            "docs/numbers.md: a loss is nats per token of one tokenizer over one text",
        )


def unchecked_program(study: MeasuredStudy) -> Iterator[Finding]:
    """What our own trainer tells of its points, and another does not, is not checked: that is said."""
    theirs = _theirs(study)
    if theirs:
        missing = ["text that was seen before, or in training and validation both"]
        missing += [] if any(r.validation_tokens for r in theirs) else ["how much is validated on"]
        missing += [] if any(r.best_loss_nats for r in theirs) else ["ends above the best loss, without its loss_sem"]
        missing += [] if study.curves else ["spikes, for final losses alone were read"]
        missing += [] if any(r.provenance.git_commit for r in theirs) else ["a change of its code, which has no commit"]
        yield Finding(
            "unchecked_program",
            "info",
            f"{len(theirs)} points were trained by another program, of which these are not checked: "
            f"{'; '.join(missing)}.",
            "Give trainer.validation what it validates on, and trainer.read its train_loss; keep its code in git.",
            PAGE,
        )


def _theirs(study: MeasuredStudy) -> list[RunRecord]:
    return [r for r in study.done if r.run_id in study.plan.by_id and study.plan.by_id[r.run_id].program is not None]

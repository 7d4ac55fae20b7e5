"""What finished points and growing curves show: broken runs, losses of another kind, machines that differ."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from scaling.checks.evidence import MeasuredStudy
from scaling.findings import Finding
from scaling.laws.distributions import robust_deviation
from scaling.laws.observations import FloatArray
from scaling.numbers import plural
from scaling.records import RunRecord

TOKENS_OFF = 0.005
SPIKE_SIGMAS, SPIKE_SHARE = 6.0, 0.10
SPIKE_WINDOW = 5  # rows of a curve before the one that is looked at
WARMUP_ROWS = 5  # rows at the start of a run, where the loss falls by the row
SKIPPED_WARN = 0.01
PAST_BEST_SIGMAS = 3.0
CONFOUNDED = 0.5
LOST = ("diverged", "out_of_memory")
MACHINE = ("device", "precision", "parallel", "torch", "code_version")


def runs_without_loss(study: MeasuredStudy) -> Iterator[Finding]:
    """Points that diverged or ran out of memory are missing where it is hardest, which is not at random."""
    ended = [record for record in study.records if record.status in LOST]
    if ended:
        reasons = Counter(record.status for record in ended)
        first = ended[0]
        yield Finding(
            "runs_without_loss",
            "warn",
            f"{len(ended)} of {len(study.records)} points ended without a loss ("
            + ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in reasons.items())
            + f"), the first {first.size} at {first.budget_tokens:,} tokens: {first.reason}.",
            "Lower recipe.matrix_lr and recipe.embedding_lr where runs diverge, or runtime.micro_batch_tokens where "
            "memory ends; the report lists every point that no fit uses.",
            "Wortsman et al. 2023, arXiv 2309.14322: learning rates that larger models do not bear",
        )


def early_stops(study: MeasuredStudy) -> Iterator[Finding]:
    """A point that stopped before its budget has another kind of loss, and its absence is not at random either."""
    stopped = [record for record in study.records if record.status == "stopped_early"]
    if stopped:
        sizes = ", ".join(sorted({record.size for record in stopped}))
        yield Finding(
            "early_stops",
            "warn",
            f"{len(stopped)} of {len(study.records)} points stopped before their budget ({sizes}); no fit uses them, "
            "and what it uses ends where a run stopped improving.",
            "Switch early stopping off for a law of D, or end the budgets of these sizes where they stop.",
            "Hoffmann et al. 2022, arXiv 2203.15556: every loss at the end of its own schedule",
        )


def spikes(study: MeasuredStudy) -> Iterator[Finding]:
    """A row of a training curve far above those before it: the optimiser was thrown off and had to start anew."""
    found = []
    for segment in study.curves:
        losses = np.array([loss for loss in segment.train_loss if loss is not None])
        tokens = [t for t, loss in zip(segment.tokens, segment.train_loss, strict=True) if loss is not None]
        for at, rise in _spikes(losses, 0 if segment.budget is None else SPIKE_WINDOW):
            found.append((rise, f"{segment.run_id} near {tokens[at]:,} tokens"))
    if found:
        rise, where = max(found)
        yield Finding(
            "spikes",
            "warn",
            f"The training loss jumps {len(found)} times, most in {where}, where it stands {rise:.0%} above the rows "
            f"before (warn beyond {SPIKE_SIGMAS:g} standard deviations and {SPIKE_SHARE:.0%}).",
            "Lower recipe.matrix_lr or recipe.grad_clip, or raise recipe.warmup_min_steps; hold the point against "
            "another seed (grid.replicates) before believing it.",
            "Chowdhery et al. 2022, arXiv 2204.02311, section 5.1",
        )


def _spikes(losses: FloatArray, after: int) -> Iterator[tuple[int, float]]:
    """Rows of a curve that stand out against the mean of those before, with their rise as a share of it."""
    begin = max(WARMUP_ROWS + SPIKE_WINDOW - after, SPIKE_WINDOW)
    if len(losses) <= begin:
        return
    before = np.convolve(losses, np.full(SPIKE_WINDOW, 1 / SPIKE_WINDOW), mode="valid")[:-1]
    rise = losses[SPIKE_WINDOW:] / before - 1.0
    usual = rise[np.isfinite(rise)]
    spread = robust_deviation(usual)
    for at in range(begin, len(losses)):
        value = float(rise[at - SPIKE_WINDOW])
        if not math.isfinite(losses[at]):
            yield at, math.inf
        elif value > max(SPIKE_SIGMAS * spread, SPIKE_SHARE):
            yield at, value


def skipped_steps(study: MeasuredStudy) -> Iterator[Finding]:
    """A step that is skipped for a gradient that overflowed saw tokens and learnt nothing of them."""
    shares = {(r.size, r.budget_tokens): r.skipped_steps / max(r.steps, 1) for r in study.records}
    (size, tokens), most = max(shares.items(), key=lambda item: item[1], default=(("", 0), 0.0))
    if most > SKIPPED_WARN:
        yield Finding(
            "skipped_steps",
            "warn",
            f"{most:.1%} of the steps of {size} at {tokens:,} tokens were skipped (warn above {SKIPPED_WARN:.0%}).",
            "Set runtime.precision=bf16 or fp32.",
            "Micikevicius et al. 2018, arXiv 1710.03740: loss scaling",
        )


def tokens_off(study: MeasuredStudy) -> Iterator[Finding]:
    """A point trained on other tokens than planned is another point."""
    off = [r for r in study.done if abs(r.tokens / r.budget_tokens - 1.0) > TOKENS_OFF]
    if off:
        worst = max(off, key=lambda r: abs(math.log(r.tokens / r.budget_tokens)))
        yield Finding(
            "tokens_off",
            "warn",
            f"{plural(len(off), 'point was', 'points were')} trained on other tokens than planned, {worst.size} on "
            f"{worst.tokens:,} of "
            f"{worst.budget_tokens:,} (warn beyond {TOKENS_OFF:.1%}); no fit uses them.",
            "Move their run folders away and run the sweep again.",
            "a public sweep script whose plan and training disagreed",
        )


def past_its_best(study: MeasuredStudy) -> Iterator[Finding]:
    """A final loss well above the best of its run is a loss of overfitting or of a late instability."""
    past = [
        (record.final_loss_nats / record.best_loss_nats - 1.0, record)
        for record in study.done
        if record.final_loss_nats is not None
        and record.best_loss_nats
        and record.final_loss_nats - record.best_loss_nats > PAST_BEST_SIGMAS * (record.loss_sem_nats or 0.0)
    ]
    if past:
        share, worst = max(past, key=lambda item: item[0])
        yield Finding(
            "past_its_best",
            "warn",
            f"{plural(len(past), 'point ends', 'points end')} above the best loss of their run, {worst.size} at "
            f"{worst.budget_tokens:,} tokens "
            f"by {share:.1%} (warn beyond {PAST_BEST_SIGMAS:g} standard errors). The fit takes final losses.",
            "Use more text or fewer epochs, or lower the learning rate; best and final losses belong in separate fits.",
            "Muennighoff et al. 2023, arXiv 2305.16264: loss rises again after many epochs",
        )


def mixed_tokenizers(study: MeasuredStudy) -> Iterator[Finding]:
    """A nat per token of one tokenizer is not one of another."""
    yield from _several(
        study.done,
        "mixed_tokenizers",
        lambda record: f"{record.provenance.tokenizer} over {record.provenance.corpus}",
        "tokenizers or corpora",
        "Make a study of each and hold them against each other in bits per byte.",
    )


def moving_validation(study: MeasuredStudy) -> Iterator[Finding]:
    """Losses over different validation texts differ by the texts."""
    yield from _several(
        study.done,
        "moving_validation",
        lambda record: f"{record.validation_tokens:,} tokens",
        "validation sets",
        "Evaluate every point on one fixed split: move the run folders of the others away and run the sweep again.",
    )


def _several(
    records: Sequence[RunRecord], name: str, words: Callable[[RunRecord], str], what: str, remedy: str
) -> Iterator[Finding]:
    counts = Counter(words(record) for record in records)
    if len(counts) > 1:
        yield Finding(
            name,
            "refuse",
            f"The losses of one fit are over {len(counts)} {what}: "
            + "; ".join(f"{count} points {value}" for value, count in counts.most_common(4))
            + ".",
            remedy,
            "docs/numbers.md: a loss is nats per token of one tokenizer over one text",
        )


def confounded_machines(study: MeasuredStudy) -> Iterator[Finding]:
    """Where small and large models ran differently, the difference is part of the exponent."""
    records = study.done
    different = {}
    for name in MACHINE:
        values = [str(getattr(record.provenance, name)) for record in records]
        if len(set(values)) > 1:
            different[name] = (Counter(values), _explained(values, records))
    if not different:
        return
    confounded = [name for name, (_, share) in different.items() if share > CONFOUNDED]
    words = "; ".join(
        f"{name.replace('_', ' ')} ({', '.join(f'{count} {value}' for value, count in counts.items())}) explains "
        f"{share:.0%} of log N or log D"
        for name, (counts, share) in different.items()
    )
    yield Finding(
        "confounded_machines",
        "warn" if confounded else "info",
        f"Points of one fit differ in {words} (warn above {CONFOUNDED:.0%}).",
        "Train one cell under both (grid.replicates) to see whether it matters, or train all under one.",
        "numerical precision and kernels move losses by as much as seeds do; docs/gpu.md",
    )


def _explained(values: list[str], records: Sequence[RunRecord]) -> float:
    """Largest share of the variance of log N or log D that lies between the groups of equal value."""
    shares = [0.0]
    for column in ([r.params.total for r in records], [r.tokens for r in records]):
        logs = np.log(np.array(column, dtype=np.float64))
        index = np.unique(values, return_inverse=True)[1]
        sizes = np.bincount(index)
        between = float(np.sum(sizes * (np.bincount(index, weights=logs) / sizes - logs.mean()) ** 2))
        total = float(np.sum((logs - logs.mean()) ** 2))
        if total > 0:
            shares.append(between / total)
    return max(shares)

"""One sin for each check that looks at measured points: a clean study, spoilt in one way.

A sin takes the clean `Study` of its design and gives the spoilt one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import check_studies
from benchmarks.check_studies import Truth
from scaling.records import RunRecord
from scaling.results import CurveSegment, StudyReport


@dataclass(frozen=True)
class Study:
    """A measured study before its analysis, and the target it is asked for (None: the default ones)."""

    whole: StudyReport
    truth: Truth
    records: tuple[RunRecord, ...]
    curves: tuple[CurveSegment, ...]
    targets: tuple[float, ...] | None = None
    after: Callable[[StudyReport], StudyReport] = lambda report: report

    def report(self) -> StudyReport:
        return self.after(check_studies.report(self.whole, self.records, self.curves, targets=self.targets))

    def change(self, change: Callable[[RunRecord], RunRecord]) -> "Study":
        return replace(self, records=tuple(change(record) for record in self.records))

    def scale(self, factor: Callable[[RunRecord], float]) -> "Study":
        """Every loss times `factor(record)`."""

        def scaled(record: RunRecord) -> RunRecord:
            loss = (record.final_loss_nats or 0.0) * factor(record)
            return replace(record, final_loss_nats=loss, best_loss_nats=loss)

        return self.change(scaled)

    @property
    def sizes(self) -> list[int]:
        return sorted({record.params.total for record in self.records})

    @property
    def fitted(self) -> list[RunRecord]:
        held_out = {(p.run_id, p.tokens) for p in self.whole.plan.points if p.held_out}
        return [r for r in self.records if (r.run_id, r.budget_tokens) not in held_out]

    @property
    def largest(self) -> RunRecord:
        return max(self.fitted, key=lambda r: r.flops)


Sin = Callable[[Study], Study]


def clean(whole: StudyReport, design: str, seed: int) -> Study:
    rng, plan = np.random.default_rng(seed), whole.plan
    truth = check_studies.draw_truth(rng, check_studies.CENTRES[design], check_studies.NOISES[design])
    return Study(whole, truth, check_studies.records(plan, truth, rng), check_studies.curves(plan, truth, rng))


def diverged(study: Study) -> Study:
    worst = study.largest
    return study.change(
        lambda r: (
            replace(r, status="diverged", reason="the loss is nan", final_loss_nats=None, best_loss_nats=None)
            if r is worst
            else r
        )
    )


def stopped(study: Study) -> Study:
    worst = study.largest
    return study.change(lambda r: replace(r, status="stopped_early", reason="no better") if r is worst else r)


def spiked(study: Study) -> Study:
    """One row of the last curve stands 40% above its neighbours."""
    at = max(range(len(study.curves)), key=lambda i: len(study.curves[i].train_loss))
    segment = study.curves[at]
    losses = list(segment.train_loss)
    losses[2 * len(losses) // 3] = 1.4 * (losses[2 * len(losses) // 3] or 0.0)
    curves = (*study.curves[:at], replace(segment, train_loss=tuple(losses)), *study.curves[at + 1 :])
    return replace(study, curves=curves)


def with_provenance(study: Study, which: Callable[[RunRecord], bool], **changes: str) -> Study:
    return study.change(
        lambda r: replace(r, provenance=replace(r.provenance, **changes)) if which(r) else r  # type: ignore[arg-type]
    )


def other_tokenizer(study: Study) -> Study:
    return with_provenance(study, lambda r: r.params.total == study.sizes[0], tokenizer="another")


def large_in_bf16(study: Study) -> Study:
    half = study.sizes[len(study.sizes) // 2]
    return with_provenance(study, lambda r: r.params.total >= half, precision="bf16")


def two_sizes(study: Study) -> Study:
    keep = study.sizes[:2]
    return replace(study, records=tuple(r for r in study.records if r.params.total in keep))


def unfinished_fall(study: Study) -> Study:
    """The interval of the floor reaches from a fifth of the loss to all of it, and the target is six decades beyond."""

    def widen(report: StudyReport) -> StudyReport:
        surface, lowest = report.surface, float(report.fitted.loss.min())
        wide = replace(surface.intervals["E"], low=0.2 * lowest, high=0.99 * lowest)
        intervals = {**surface.intervals, "E": wide}
        return replace(report, laws=(replace(surface, intervals=intervals), *report.laws[1:]))

    return replace(study, targets=(1e6 * study.largest.flops,), after=widen)


def far_target(study: Study) -> Study:
    return replace(study, targets=(1e4 * study.largest.flops,))


def tuned_in_the_middle(study: Study) -> Study:
    """The learning rate suits the sizes in the middle, and the others are 10% worse for it."""
    middle = study.sizes[2:4]
    return study.scale(lambda r: 1.0 if r.params.total in middle else 1.10)


def noisy_small(study: Study) -> Study:
    rng, half = np.random.default_rng(0), float(np.median([r.flops for r in study.fitted]))
    return study.scale(lambda r: float(np.exp(0.08 * rng.standard_normal())) if r.flops < half else 1.0)


def broken_cells(study: Study) -> Study:
    """The longest runs of three small sizes ended 12% too high."""
    longest = {size: max(r.tokens for r in study.fitted if r.params.total == size) for size in study.sizes[:3]}
    return study.scale(lambda r: 1.12 if r.tokens == longest.get(r.params.total) else 1.0)


def short_runs(study: Study) -> Study:
    """The runs of the smallest budget ended before they had learnt much: 25% above the law."""
    shortest = min(r.tokens for r in study.records)
    return study.scale(lambda r: 1.25 if r.tokens == shortest else 1.0)


def broken_largest(study: Study) -> Study:
    worst = study.largest
    return study.scale(lambda r: 1.25 if r is worst else 1.0)


def bent_beyond(study: Study) -> Study:
    """What is held out is a tenth worse than the law of the rest says."""
    fitted = {(r.run_id, r.budget_tokens) for r in study.fitted}
    return study.scale(lambda r: 1.0 if (r.run_id, r.budget_tokens) in fitted else 1.1)


def rounded_budgets(study: Study) -> Study:
    """Budgets are told by their rounded exponent, so that neighbours become one."""

    def merge(report: StudyReport) -> StudyReport:
        rows = report.fitted
        assert rows.budget is not None
        budgets = np.sort(np.unique(rows.budget))
        merged = np.where(rows.budget == budgets[1], budgets[0], rows.budget)
        return replace(report, fitted=replace(rows, budget=merged))

    return replace(study, after=merge)


def narrow_bootstrap(study: Study) -> Study:
    """Every point is resampled as if it were a run of its own, and only half of them vary."""

    def narrow(report: StudyReport) -> StudyReport:
        surface = report.surface
        thin = {
            name: replace(i, low=m - 0.4 * (m - i.low), high=m + 0.4 * (i.high - m), method="bootstrap")
            for name, i in surface.intervals.items()
            for m in ((i.low + i.high) / 2,)
        }
        return replace(report, laws=(replace(surface, intervals=thin), *report.laws[1:]))

    return replace(study, after=narrow)


def shifted(study: Study, times: float) -> Study:
    """Losses of a law whose best N is `times` as large."""
    E, A, B, alpha, beta = study.truth.law
    by = times ** ((alpha + beta) / 2)
    other = Truth((E, by * A, B / by, alpha, beta))
    return study.scale(
        lambda r: other.loss(r.params.total, r.tokens) / study.truth.loss(r.params.total, r.tokens)
    )  # fmt: skip


def changed(which: Callable[[Study, RunRecord], bool], **changes: Callable[[RunRecord], object]) -> Sin:
    """Fields of some records, each worked out from its record."""

    def spoil(study: Study) -> Study:
        return study.change(
            lambda r: replace(r, **{k: v(r) for k, v in changes.items()}) if which(study, r) else r  # type: ignore[arg-type]
        )

    return spoil


def largest_run(study: Study, record: RunRecord) -> bool:
    return record is study.largest


def any_run(study: Study, record: RunRecord) -> bool:
    return True


# Name of the check: (design, sin). Profiles need an isoFLOP grid.
SINS: dict[str, tuple[str, Sin]] = {
    "runs_without_loss": ("default", diverged),
    "early_stops": ("default", stopped),
    "spikes": ("default", spiked),
    "skipped_steps": ("default", changed(any_run, skipped_steps=lambda r: r.steps // 20)),
    "tokens_off": ("default", changed(largest_run, tokens=lambda r: round(0.98 * r.tokens))),
    "past_its_best": ("default", changed(largest_run, best_loss_nats=lambda r: 0.95 * (r.final_loss_nats or 0.0))),
    "mixed_tokenizers": ("default", other_tokenizer),
    "moving_validation": ("default", changed(largest_run, validation_tokens=lambda r: r.validation_tokens // 2)),
    "confounded_machines": ("default", large_in_bf16),
    "noisy_validation": ("default", changed(any_run, loss_sem_nats=lambda r: 0.05 * (r.final_loss_nats or 0.0))),
    "unusable_law": ("default", two_sizes),
    "unknown_floor": ("default", unfinished_fall),
    "narrow_intervals": ("default", narrow_bootstrap),
    "extrapolation": ("default", far_target),
    "lack_of_fit": ("default", tuned_in_the_middle),
    "one_sided": ("default", bent_beyond),
    "uneven_noise": ("default", noisy_small),
    "odd_points": ("default", broken_cells),
    "few_points_decide": ("default", short_runs),
    "out_of_order": ("default", broken_largest),
    "regrouped_budgets": ("isoflop", rounded_budgets),
    "off_centre": ("isoflop", lambda study: shifted(study, 2.2)),
    "unusable_budgets": ("isoflop", lambda study: shifted(study, 8.0)),
}

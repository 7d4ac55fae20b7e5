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
from scaling.specs import Plan


@dataclass(frozen=True)
class Study:
    """A measured study before its analysis, and the target it is asked for (None: the default ones)."""

    plan: Plan
    truth: Truth
    records: tuple[RunRecord, ...]
    curves: tuple[CurveSegment, ...]
    targets: tuple[float, ...] | None = None
    after: Callable[[StudyReport], StudyReport] = lambda report: report

    def report(self, resamples: int = 200) -> StudyReport:
        found = check_studies.report(
            self.plan, self.records, self.curves, targets=self.targets, resamples=resamples
        )  # fmt: skip
        return self.after(found)

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
    def largest(self) -> RunRecord:
        held_out = {(p.run_id, p.tokens) for p in self.plan.points if p.held_out}
        return max((r for r in self.records if (r.run_id, r.budget_tokens) not in held_out), key=lambda r: r.flops)


def clean(plan: Plan, seed: int, centre: tuple[float, float] | None = None) -> Study:
    rng = np.random.default_rng(seed)
    truth = check_studies.draw_truth(rng, centre)
    return Study(plan, truth, check_studies.records(plan, truth, rng), check_studies.curves(plan, truth, rng))


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


def far_target(study: Study) -> Study:
    return replace(study, targets=(1e4 * study.largest.flops,))


def one_ratio(study: Study) -> Study:
    """Tokens per parameter all but alike, so that the terms in N and in D can swap their places."""
    rng = np.random.default_rng(1)
    factor = {r.run_id: float(rng.uniform(0.9, 1.1)) for r in study.records}

    def squeeze(report: StudyReport) -> StudyReport:
        rows = report.fitted
        tokens = 20.0 * rows.params * np.array([factor[name] for name in rows.trajectory])
        return report if len(tokens) == 0 else report

    return replace(study, after=squeeze)


def tuned_in_the_middle(study: Study) -> Study:
    """The learning rate suits the sizes in the middle, and the others are 6% worse for it."""
    middle = study.sizes[2:4]
    return study.scale(lambda r: 1.0 if r.params.total in middle else 1.06)


def noisy_small(study: Study) -> Study:
    rng, half = np.random.default_rng(0), float(np.median([r.flops for r in study.records]))
    return study.scale(lambda r: float(np.exp(0.08 * rng.standard_normal())) if r.flops < half else 1.0)


def broken_cells(study: Study) -> Study:
    """Of two small sizes the longest runs ended 15% too high."""
    small = study.sizes[:2]
    longest = {size: max(r.tokens for r in study.records if r.params.total == size) for size in small}
    return study.scale(lambda r: 1.15 if r.tokens >= 0.6 * longest.get(r.params.total, 1e99) else 1.0)


def odd_smallest(study: Study) -> Study:
    """The smallest size is of another shape, 8% worse than its parameters allow."""
    return study.scale(lambda r: 1.08 if r.params.total == study.sizes[0] else 1.0)


def broken_largest(study: Study) -> Study:
    worst = study.largest
    return study.scale(lambda r: 1.25 if r is worst else 1.0)


def long_noise(study: Study) -> Study:
    """A validation text of a few windows."""
    return study.change(lambda r: replace(r, loss_sem_nats=0.05 * (r.final_loss_nats or 0.0)))


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
        return replace(report, surface=replace(surface, intervals=thin))

    return replace(study, after=narrow)


def shifted(study: Study, times: float) -> Study:
    """Losses of a law whose best N is `times` as large."""
    E, A, B, alpha, beta = study.truth.law
    by = times ** ((alpha + beta) / 2)
    other = Truth((E, by * A, B / by, alpha, beta))
    return study.scale(
        lambda r: other.loss(r.params.total, r.tokens) / study.truth.loss(r.params.total, r.tokens)
    )  # fmt: skip


# name of the check: (design, sin). Profiles need an isoFLOP grid.
SINS: dict[str, tuple[str, Callable[[Study], Study]]] = {
    "runs_without_loss": ("default", diverged),
    "early_stops": ("default", stopped),
    "spikes": ("default", spiked),
    "skipped_steps": ("default", lambda s: s.change(lambda r: replace(r, skipped_steps=r.steps // 20))),
    "tokens_off": ("default", lambda s: s.change(lambda r: replace(r, tokens=round(0.98 * r.tokens)) if r is s.largest else r)),
    "past_its_best": ("default", lambda s: s.change(lambda r: replace(r, best_loss_nats=0.95 * (r.final_loss_nats or 0)) if r is s.largest else r)),
    "mixed_tokenizers": ("default", other_tokenizer),
    "moving_validation": ("default", lambda s: s.change(lambda r: replace(r, validation_tokens=9) if r is s.largest else r)),
    "confounded_machines": ("default", large_in_bf16),
    "noisy_validation": ("default", long_noise),
    "unusable_law": ("default", two_sizes),
    "several_optima": ("default", one_ratio),
    "unknown_floor": ("isoflop", far_target),
    "narrow_intervals": ("default", narrow_bootstrap),
    "extrapolation": ("default", far_target),
    "lack_of_fit": ("default", tuned_in_the_middle),
    "uneven_noise": ("default", noisy_small),
    "outliers_decide": ("default", broken_cells),
    "few_points_decide": ("default", odd_smallest),
    "out_of_order": ("default", broken_largest),
    "regrouped_budgets": ("isoflop", rounded_budgets),
    "off_centre": ("isoflop", lambda s: shifted(s, 2.2)),
    "unusable_budgets": ("isoflop", lambda s: shifted(s, 8.0)),
}  # fmt: skip

"""Studies made of a planted law and noise, through the real plan, records and analysis; nothing is trained."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from scaling.analysis.config import FitOptions
from scaling.analysis.law_report import BEYOND
from scaling.analysis.noise import seed_noise
from scaling.analysis.observations import CONVENTIONS, observations
from scaling.analysis.study import analyse, split_records
from scaling.checks.catalogue import check_plan, check_study
from scaling.checks.evidence import PlannedStudy
from scaling.command import config_folder
from scaling.config import StudyConfig, study_config
from scaling.findings import Finding
from scaling.laws.agreement import FINISHED, compare_conventions, compare_estimators
from scaling.laws.analysis import largest_budget
from scaling.laws.envelope import finished_curves
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import parameter_intervals
from scaling.laws.optimum import optimum
from scaling.model.counting import (
    chinchilla_training_flops,
    count_parameters,
    count_training_flops,
    kaplan_training_flops,
)
from scaling.records import RECORD_SCHEMA, Provenance, RunRecord
from scaling.results import CurveSegment, FittedLaw, OptimalAllocation, StudyReport
from scaling.specs import Plan, PlannedPoint, RunSpec

PROVENANCE = Provenance(
    "0.1.0", "0" * 40, "3.11", "2.13.0", "cpu", "fp32", 1, "host", "corpus", "tokenizer", "2026-01-01T00:00:00+00:00"
)
# E, A, B, alpha, beta of the default study (docs/gallery), about which the planted laws are drawn.
DEFAULT_LAW = (0.915, 88.3, 1940.0, 0.549, 0.660)
RELATIVE_SD, SHARED, SEM = 0.0108, 0.5, 0.0044  # of its losses: seeds, their share of a trunk, validation windows
LOG_EVERY = 50
# Seven sizes within a factor of ten about the best N of the default law, at each of four budgets.
PROFILE_SIZES = (
    (2, 24, "1"), (2, 32, "12"), (2, 40, "124"), (2, 48, "1248"), (3, 48, "1248"), (3, 56, "1248"), (3, 72, "1248"),
    (3, 88, "248"), (4, 96, "48"), (4, 112, "8"),
)  # fmt: skip
ISOFLOP = (
    "grid.kind=isoflop",
    "grid.budgets=[1.0e+12,2.0e+12,4.0e+12,8.0e+12]",
    "grid.sizes=["
    + ",".join(
        f"{{name: l{layers}w{width}, num_layers: {layers}, d_model: {width}, num_heads: 4, "
        f"budgets: [{','.join(f'{budget}.0e+12' for budget in budgets)}]}}"
        for layers, width, budgets in PROFILE_SIZES
    )
    + "]",
    "grid.replicates=[{size: l2w48, seeds: [1, 2], budgets: [1.0e+12, 2.0e+12, 4.0e+12]}]",
    "grid.holdout_share=0",
)


@dataclass(frozen=True)
class Truth:
    """A planted law and its noise: `shared` is the correlation of two points of one trajectory."""

    law: tuple[float, float, float, float, float]
    relative_sd: float = RELATIVE_SD
    shared: float = SHARED

    def loss(self, params: float, tokens: float) -> float:
        E, A, B, alpha, beta = self.law
        return E + A / params**alpha + B / tokens**beta


# What each design's losses are like; the profiles are shallow, so theirs are those of means over five seeds.
CENTRES: dict[str, tuple[float, float] | None] = {"default": None, "isoflop": (1.23e5, 3.0e6)}
NOISES = {"default": RELATIVE_SD, "isoflop": RELATIVE_SD / 5**0.5}
OVERRIDES: dict[str, tuple[str, ...]] = {"default": (), "isoflop": ISOFLOP}


def config(*overrides: str) -> StudyConfig:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return study_config(compose("sweep", list(overrides)))


def draw_truth(
    rng: np.random.Generator, centre: tuple[float, float] | None = None, noise: float = RELATIVE_SD
) -> Truth:
    """Exponents within a sixth and terms within a fourth of the default study's.

    `centre` is an (N, D) that shall be best for its compute, as of profiles that were centred by earlier budgets.
    """
    E, A, B, alpha, beta = DEFAULT_LAW
    N, D = 1.2e5, 1.0e6
    a, b = alpha * rng.uniform(5 / 6, 7 / 6), beta * rng.uniform(5 / 6, 7 / 6)
    term_N, term_D = A / N**alpha * rng.uniform(0.75, 1.25), B / D**beta * rng.uniform(0.75, 1.25)
    if centre is not None:  # alpha times the term in N equals beta times that in D
        at_N, at_D = term_N * (N / centre[0]) ** a, term_D * (D / centre[1]) ** b
        term_N *= math.sqrt(b * at_D / a / at_N)
        term_D *= math.sqrt(a * at_N / b / at_D)
    return Truth((E * rng.uniform(0.8, 1.25), term_N * N**a, term_D * D**b, a, b), noise)


def record(plan: Plan, point: PlannedPoint, loss: float) -> RunRecord:
    model = plan.by_id[point.run_id].model
    return RunRecord(
        schema=RECORD_SCHEMA,
        run_id=point.run_id,
        size=point.size,
        init_seed=point.init_seed,
        data_seed=point.init_seed,
        budget_tokens=point.tokens,
        status="done",
        reason=None,
        params=count_parameters(model),
        tokens=point.tokens,
        steps=point.steps,
        unique_tokens=point.tokens,
        epochs=0.1,
        flops=point.tokens * count_training_flops(model).total,
        flops_kaplan=point.tokens * kaplan_training_flops(model),
        flops_chinchilla=point.tokens * chinchilla_training_flops(model),
        final_loss_nats=loss,
        best_loss_nats=loss,
        best_loss_tokens=point.tokens,
        loss_sem_nats=SEM * loss,
        bits_per_byte=loss / math.log(2),
        perplexity=math.exp(loss),
        validation_tokens=245_000,
        skipped_steps=0,
        seconds=1.0,
        tokens_per_second=1.0,
        peak_memory_bytes=1,
        provenance=replace(PROVENANCE, corpus=plan.by_id[point.run_id].corpus),
    )


def records(plan: Plan, truth: Truth, rng: np.random.Generator) -> tuple[RunRecord, ...]:
    """A record of every point, the noise of one trajectory's points being correlated."""
    common = {run.id: rng.standard_normal() for run in plan.runs}
    rows = []
    for point in plan.points:
        own = math.sqrt(truth.shared) * common[point.run_id] + math.sqrt(1 - truth.shared) * rng.standard_normal()
        loss = truth.loss(point.params, point.tokens) * math.exp(truth.relative_sd * own)
        rows.append(record(plan, point, loss))
    return tuple(rows)


def curves(plan: Plan, truth: Truth, rng: np.random.Generator) -> tuple[CurveSegment, ...]:
    """Of every trunk and branch, a row each 50 steps; a row of the default study scatters by 2% about its trend."""
    return tuple(_segment(run, budget, truth, rng) for run in plan.runs for budget in (None, *run.budgets))


def _segment(run: RunSpec, budget: int | None, truth: Truth, rng: np.random.Generator) -> CurveSegment:
    start = 0 if budget is None else run.cooldown_start(budget)
    end = max(run.cooldown_start(b) for b in run.budgets) if budget is None else run.steps(budget)
    tokens = np.arange(start + LOG_EVERY, end + 1, LOG_EVERY) * run.optimizer.batch_tokens
    N = count_parameters(run.model).total
    loss = np.array([1.05 * truth.loss(N, d) + 3 * math.exp(-d / 3e4) for d in tokens.tolist()])
    loss *= np.exp(0.02 * rng.standard_normal(len(tokens)))
    return CurveSegment(run.id, run.size, budget, tuple(tokens.tolist()), tuple(loss.tolist()), (None,) * len(tokens))


def template(plan: Plan) -> StudyReport:
    """A whole report, for the forms, the selection and the backtest: no check reads them, and they take a second."""
    rng = np.random.default_rng(0)
    options = FitOptions("total", 0, 0.95, None, figures=False, seed=0)
    return analyse(
        plan, records(plan, draw_truth(rng), rng), options, (),
        folder=Path("nowhere"), question="", command="", corpus="", findings=(),
    )  # fmt: skip


def report(
    whole: StudyReport,
    measured: tuple[RunRecord, ...],
    segments: tuple[CurveSegment, ...] = (),
    *,
    targets: tuple[float, ...] | None = None,
) -> StudyReport:
    """The report of other records of a plan; all that a check reads of it is theirs."""
    plan = whole.plan
    split = split_records(plan, measured)
    counts = {c.text: observations(plan, split.fitted, c) for c in CONVENTIONS.values()}
    rows = observations(plan, split.fitted, CONVENTIONS["total"])
    fit = fit_law(CHINCHILLA, rows)
    intervals = parameter_intervals(fit, rows) if fit.usable else {}
    largest = largest_budget(rows)
    asked = (targets or (largest, BEYOND * largest)) if fit.usable else ()
    return replace(
        whole,
        fitted=rows,
        fitted_records=split.fitted,
        held_out=observations(plan, split.held_out, CONVENTIONS["total"]) if split.held_out else None,
        held_out_records=split.held_out,
        records=measured,
        curves=segments,
        noise=seed_noise(measured),
        laws=(FittedLaw("L(N, D)", fit, rows, None, intervals), *whole.laws[1:]),
        optima=tuple(OptimalAllocation(optimum(fit, flops), None, None, None) for flops in asked),
        estimators=compare_estimators(fit, rows, largest, {FINISHED: finished_curves(rows)}),
        conventions=compare_conventions(counts, largest),
        exclusions=split.exclusions,
    )


def findings(study: StudyConfig, fitted: StudyReport) -> tuple[Finding, ...]:
    """What a sweep would say from its dry run to its report."""
    return (*check_plan(PlannedStudy(fitted.plan, study.fit.convention, study.data)), *check_study(fitted))

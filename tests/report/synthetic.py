"""A study made of a planted Chinchilla law with noise, through the real specs, records and laws: no training."""

import math
from dataclasses import fields, replace
from functools import cache

import numpy as np

from scaling.analysis.law_report import Rows, law_report
from scaling.findings import Finding
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations, points
from scaling.model.config import ModelConfig
from scaling.model.counting import chinchilla_training_flops, count_parameters, count_training_flops
from scaling.model.counting import kaplan_training_flops as kaplan_flops
from scaling.records import RECORD_SCHEMA, Provenance, RunRecord
from scaling.results import CurveSegment, SeedNoise, StudyReport
from scaling.specs import Optimizer, Plan, PlannedPoint, RunSpec, Schedule
from scaling.store import SELECTED, Exclusion, Forecast

TRUTH = (0.85, 14.0, 480.0, 0.32, 0.47)
NOISE = 0.008
BATCH = 2048
WIDTHS = {"14k": (2, 24), "38k": (2, 40), "98k": (3, 52), "332k": (4, 84), "983k": (5, 128), "2.1M": (6, 172)}
BUDGETS = tuple(round(b / BATCH) * BATCH for b in (0.5e6, 1e6, 2e6, 4e6, 8e6))


def spec(size: str, seed: int) -> RunSpec:
    layers, width = WIDTHS[size]
    model = ModelConfig(
        num_layers=layers,
        d_model=width,
        num_heads=width // 4,
        vocab_size=512,
        context=128,
        d_ff=4 * width,
        positions="sinusoidal",
    )
    optimizer = Optimizer(
        batch_tokens=BATCH,
        matrix_lr=0.24 / width,
        embedding_lr=0.01,
        vector_lr=0.01,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-8,
        weight_decay=0.1,
        grad_clip=1.0,
    )
    return RunSpec(
        size=size,
        model=model,
        optimizer=optimizer,
        schedule=Schedule("wsd", warmup_steps=50),
        corpus="corpus-4f1c",
        unique_tokens=None,
        init_seed=seed,
        data_seed=seed,
        budgets=BUDGETS if seed == 0 else BUDGETS[1:2],
    )


def plan(seeds: dict[str, int], budgets: int) -> Plan:
    runs = [spec(size, seed) for size in WIDTHS for seed in range(seeds.get(size, 1))]
    runs = [replace(run, budgets=run.budgets[:budgets]) for run in runs]
    flops = sorted(count_training_flops(run.model).total * budget for run in runs for budget in run.budgets)
    threshold = flops[-max(4, len(flops) // 5)]
    planned = []
    for run in runs:
        for budget in run.budgets:
            cost, count = count_training_flops(run.model).total * budget, count_parameters(run.model)
            planned.append(
                PlannedPoint(
                    index=len(planned),
                    run_id=run.id,
                    size=run.size,
                    init_seed=run.init_seed,
                    tokens=budget,
                    steps=run.steps(budget),
                    params=count.total,
                    non_embedding_params=count.non_embedding,
                    flops=cost,
                    epochs=budget / 9.2e6,
                    nominal_tokens=float(budget),
                    nominal_flops=None,
                    held_out=cost >= threshold,
                    replicate=run.init_seed > 0,
                    estimated_seconds=1.0,
                )
            )
    return Plan("synthetic", tuple(runs), tuple(planned))


def record(run: RunSpec, point: PlannedPoint, loss: float, diverged: bool) -> RunRecord:
    return RunRecord(
        schema=RECORD_SCHEMA,
        run_id=run.id,
        size=run.size,
        init_seed=run.init_seed,
        data_seed=run.data_seed,
        budget_tokens=point.tokens,
        status="diverged" if diverged else "done",
        reason="the loss was not finite at step 812 <nan>" if diverged else None,
        params=count_parameters(run.model),
        tokens=point.tokens,
        steps=point.steps,
        unique_tokens=min(point.tokens, 9_200_000),
        epochs=point.tokens / 9.2e6,
        flops=point.flops,
        flops_kaplan=kaplan_flops(run.model) * point.tokens,
        flops_chinchilla=chinchilla_training_flops(run.model) * point.tokens,
        final_loss_nats=None if diverged else loss,
        best_loss_nats=None if diverged else loss * 0.999,
        best_loss_tokens=None if diverged else point.tokens,
        loss_sem_nats=None if diverged else 0.004,
        bits_per_byte=None if diverged else loss / math.log(2) / 2.9,
        perplexity=None if diverged else math.exp(loss),
        validation_tokens=200_000,
        skipped_steps=0,
        seconds=point.flops / 2e10,
        tokens_per_second=point.tokens / 40,
        peak_memory_bytes=300_000_000,
        provenance=Provenance(
            code_version="0.1.0",
            git_commit="f6c698a",
            python="3.11.9",
            torch="2.13.0",
            device="cpu",
            precision="fp32",
            threads=1,
            host="node-1",
            corpus="corpus-4f1c",
            tokenizer="bpe-512-09ab",
            finished_at=f"2026-01-02T03:{point.index % 60:02d}:05Z",
        ),
    )


def curves(runs: Plan, rng: np.random.Generator) -> tuple[CurveSegment, ...]:
    segments = []
    for run in runs.runs:
        N = count_parameters(run.model).total
        tokens = np.arange(BATCH * 4, run.budgets[-1] * 0.8, BATCH * 4).astype(int)
        loss = 1.04 * CHINCHILLA.predict(np.array(TRUTH), points(N, tokens)) + 3 * np.exp(-tokens / 4e4)
        noisy = loss * np.exp(0.03 * rng.standard_normal(len(tokens)))
        validation = [float(v) if i % 40 == 20 else None for i, v in enumerate(loss)]
        segments.append(
            CurveSegment(run.id, run.size, None, tuple(tokens.tolist()), tuple(noisy.tolist()), tuple(validation))
        )
    return tuple(segments)


def observe(records: list[RunRecord]) -> Observations:
    return Observations(
        params=np.array([r.params.total for r in records]),
        tokens=np.array([r.tokens for r in records]),
        loss=np.array([r.final_loss_nats for r in records]),
        flops=np.array([r.flops for r in records]),
        trajectory=np.array([r.run_id for r in records]),
        convention="total parameters, counted FLOPs",
        loss_sem=np.array([r.loss_sem_nats for r in records]),
    )


def without_embeddings(records: list[RunRecord]) -> Observations:
    rows = observe(records)
    return replace(rows, params=np.array([float(r.params.non_embedding) for r in records]))


@cache
def study(
    *,
    budgets: int = 5,
    resamples: int | None = 200,
    measured: bool = True,
    replicated: bool = True,
    refused: bool = False,
    forecast: bool = True,
) -> StudyReport:
    """`refused` keeps two sizes alone, so that no surface can be fitted."""
    planned = plan({"14k": 3, "98k": 3} if replicated else {}, budgets)
    rng = np.random.default_rng(3)
    records, fitted, held_out = [], [], []
    for point in planned.points:
        run = planned.by_id[point.run_id]
        N = count_parameters(run.model).total
        loss = float(CHINCHILLA.predict(np.array(TRUTH), points(N, point.tokens))[0])
        loss *= math.exp(NOISE * rng.standard_normal())
        if point.held_out and not measured:
            continue
        diverged = point.size == "38k" and point.tokens == BUDGETS[0]
        row = record(run, point, loss, diverged)
        records.append(row)
        if diverged or (refused and point.size not in ("98k", "14k")):
            continue
        (held_out if point.held_out else fitted).append(row)
    rows = observe(fitted)
    pending = [p for p in planned.points if p.held_out]
    forecasts: list[Forecast] = []
    held = observe(held_out) if held_out else None
    laws = law_report(
        Rows(
            source="synthetic",
            fitted=rows,
            held_out=held,
            rule=None if held is None else "the points that the plan holds out",
            counts={"N total, C counted": rows, "N without embeddings": without_embeddings(fitted)},
            curves={},
            noise=SeedNoise(0.0081, 2, 6) if replicated else None,
        ),
        targets=(1e14, 1e15),
        resamples=resamples or 0,
        level=0.95,
        seed=1,
    )
    asked = laws.analysis.forecaster
    if asked is not None and pending and forecast:
        at = points([p.params for p in pending], [p.tokens for p in pending], [p.flops for p in pending])
        ahead = asked.predict(at)
        known = {(r.run_id, r.budget_tokens): r.final_loss_nats for r in held_out}
        forecasts = [
            Forecast(
                p.run_id, p.size, p.tokens, SELECTED, float(ahead.loss[i]), float(ahead.low[i]), float(ahead.high[i]),
                0.95, ahead.method, "ab" * 8, "2026-01-02T04:00:00Z", known.get((p.run_id, p.tokens)),
            )
            for i, p in enumerate(pending)
        ]  # fmt: skip
    findings = (
        Finding("epochs", "info", "at most 0.9 epochs of the corpus", "none needed", "arXiv 2305.16264"),
        Finding(
            "extrapolation", "warn", "1e15 FLOPs is 31 times the largest fitted <C>", "measure a point in between", "x"
        ),
    )
    if refused:
        findings = (
            Finding("one_size", "refuse", "1 size & 3 are needed", "train at least 2 more sizes", "this program"),
            *findings,
        )
    shared = {part.name: getattr(laws, part.name) for part in fields(laws)} | {"findings": findings}
    return StudyReport(
        **shared,
        study="synthetic <study> & co",
        question="How does the loss fall with parameters and tokens on 'planted' text?",
        command="python -m scaling.sweep experiment=synthetic",
        corpus="planted law, no text (9.2M tokens)",
        plan=planned,
        records=tuple(records),
        curves=curves(planned, rng),
        fitted_records=tuple(fitted),
        held_out_records=tuple(held_out),
        forecasts=tuple(forecasts),
        exclusions=tuple(Exclusion(r.run_id, r.budget_tokens, r.reason or "") for r in records if r.status != "done"),
    )

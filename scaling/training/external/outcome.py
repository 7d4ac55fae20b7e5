"""From what a program has left to how its run ended, its record and its curve."""

import json
import math
import os
import platform
import re
import resource
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import scaling
from scaling.curves import CurveRow, curve_path
from scaling.model.counting import (
    chinchilla_training_flops,
    count_parameters,
    count_training_flops,
    kaplan_training_flops,
)
from scaling.records import LOG_FILE, RECORD_SCHEMA, PointStatus, Provenance, RunRecord
from scaling.specs import RunSpec
from scaling.trainers.config import TrainerConfig
from scaling.trainers.places import Reading
from scaling.trainers.reading import (
    Found,
    Plan,
    as_nats,
    final_loss,
    last,
    lines_of,
    off_plan,
    read_all,
    validation_number,
)
from scaling.training.config import Job
from scaling.training.external.starts import Starts
from scaling.values import finite_or_null, write_atomically

# The words of torch, XLA and CUDA for memory that has run out.
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|CUDA out of memory|RESOURCE_EXHAUSTED: Out of memory|CUDA_ERROR_OUT_OF_MEMORY|"
    r"MPS backend out of memory|DefaultCPUAllocator: can't allocate memory"
)


@dataclass(frozen=True)
class Ended:
    """How a run ended; `loss` as it was read, where it is done. `kept`: its record is there already."""

    status: PointStatus
    reason: str = ""
    loss: Reading | None = None
    kept: bool = False


def plan_of(spec: RunSpec) -> Plan:
    return Plan(spec.steps(spec.budgets[-1]), spec.budgets[-1], count_parameters(spec.model).total)


def ended_how(
    trainer: TrainerConfig, spec: RunSpec, folder: Path, names: dict[str, Any], starts: Starts
) -> Ended | None:
    """None where nothing says that it has ended: it may be started again."""
    if not starts.starts:
        return None
    start, plan = starts.starts[-1], plan_of(spec)
    own_lines = lines_of(folder / LOG_FILE, start.log_bytes)
    found = read_all(trainer, lines_of(folder / LOG_FILE), folder, names)
    loss = final_loss(found, plan, ended_well=False)
    if loss is None and start.ended_well:
        # Of this start's own words: those of one before it say nothing of how far this one came.
        loss = final_loss(read_all(trainer, own_lines, folder, names), plan, ended_well=True)
    if read_all(trainer, own_lines, folder, names).get("diverged"):
        return Ended("diverged", "the program says so")
    newest = found.get("loss", [None])[-1]
    if newest is not None and not math.isfinite(newest.value):
        at = "" if newest.step is None else f" at step {newest.step:,.0f}"
        return Ended("diverged", f"its loss is {newest.value}{at}")
    if loss is not None:
        nats = as_nats(loss.value, trainer.unit, bytes_per_token(trainer, found))
        if not (math.isfinite(nats) and nats > 0):
            return Ended("failed", f"its loss is {loss.value:g} {trainer.unit}, which no validation text has")
        if (reason := off_plan(found, plan)) is not None:
            return Ended("failed", reason)
        return Ended("done", loss=loss)
    if start.code not in (None, 0) and not start.stopped and any(_OUT_OF_MEMORY.search(line) for line in own_lines):
        return Ended("out_of_memory", next(line for line in own_lines if _OUT_OF_MEMORY.search(line)).strip()[:300])
    return None


def bytes_per_token(trainer: TrainerConfig, found: Found) -> float | None:
    tokens, size = (validation_number(trainer, found, name) for name in ("tokens", "bytes"))
    return size / tokens if tokens and size else None


def make_record(
    job: Job, trainer: TrainerConfig, ended: Ended, found: Found, seconds: float, code: str | None
) -> RunRecord:
    spec = job.spec
    budget = spec.budgets[-1]
    steps = spec.steps(budget)
    per_token = bytes_per_token(trainer, found)
    done = ended.loss is not None
    came = max((r.step for r in found.get("loss", ()) if r.step is not None), default=0.0)
    tokens = budget if done else min(budget, int(came) * spec.optimizer.batch_tokens)
    nats = sem = None
    if ended.loss is not None:
        nats = as_nats(ended.loss.value, trainer.unit, per_token)
        half = as_nats(ended.loss.value + ended.loss.half_digit, trainer.unit, per_token) - nats
        own = last(found, "loss_sem")
        own = 0.0 if own is None else as_nats(ended.loss.value + own, trainer.unit, per_token) - nats
        # Of a number that was rounded, any value within half a digit is as likely.
        sem = math.hypot(own, half / math.sqrt(3.0)) or None
    validation_tokens = validation_number(trainer, found, "tokens") or validation_number(trainer, found, "bytes") or 0.0
    # Of losses whose error over the text nobody tells, none is known to be better than another.
    best = None
    if last(found, "loss_sem") is not None:
        losses = (as_nats(r.value, trainer.unit, per_token) for r in found.get("loss", ()) if math.isfinite(r.value))
        best = min((loss for loss in losses if loss > 0), default=None)
    bits = None if nats is None or per_token is None else nats / math.log(2.0) / per_token
    if trainer.unit == "bits/byte" and ended.loss is not None:
        bits = ended.loss.value
    return RunRecord(
        schema=RECORD_SCHEMA,
        run_id=spec.id,
        size=spec.size,
        init_seed=spec.init_seed,
        data_seed=spec.data_seed,
        budget_tokens=budget,
        status=ended.status,
        reason=ended.reason or None,
        params=count_parameters(spec.model),
        tokens=tokens,
        steps=steps if done else int(came),
        unique_tokens=tokens,
        epochs=1.0 if tokens else 0.0,
        flops=tokens * count_training_flops(spec.model).total,
        flops_kaplan=tokens * kaplan_training_flops(spec.model),
        flops_chinchilla=tokens * chinchilla_training_flops(spec.model),
        final_loss_nats=nats,
        best_loss_nats=best,
        best_loss_tokens=None,
        loss_sem_nats=sem,
        bits_per_byte=bits,
        perplexity=None if nats is None or nats > 700 else math.exp(nats),
        validation_tokens=int(validation_tokens),
        skipped_steps=0,
        seconds=seconds,
        tokens_per_second=tokens / max(seconds, 1e-9),
        peak_memory_bytes=_peak_memory_bytes(),
        provenance=Provenance(
            code_version=scaling.__version__,
            git_commit=code,
            python=platform.python_version(),
            torch="the program's own",
            device=f"{trainer.gpus} GPUs" if os.environ.get("CUDA_VISIBLE_DEVICES") else "cpu",
            precision="the program's own",
            threads=job.runtime.threads,
            host=platform.node(),
            corpus=spec.corpus,
            tokenizer=str(trainer.validation.get("name", "the program's own")),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            processes=max(1, trainer.gpus),
            parallel="none",
        ),
    )


def _peak_memory_bytes() -> int:
    """Of the largest process that has ended below this one."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def write_curve(folder: Path, spec: RunSpec, trainer: TrainerConfig, found: Found) -> None:
    """Losses with a step, of all starts, the later in the place of the earlier; nothing where none has one."""
    per_token, batch = bytes_per_token(trainer, found), spec.optimizer.batch_tokens
    rows: dict[int, dict[str, float]] = {}
    for name, column in (("train_loss", "train_loss_nats"), ("loss", "validation_loss_nats")):
        for reading in found.get(name, ()):
            if reading.step is not None and reading.step >= 0:
                nats = as_nats(reading.value, trainer.unit, per_token)
                rows.setdefault(round(reading.step * batch), {})[column] = nats
    lines = []
    for tokens, numbers in sorted(rows.items()):
        row = CurveRow(tokens, numbers.get("train_loss_nats"), 0.0, None, None, numbers.get("validation_loss_nats"))
        lines.append(json.dumps(finite_or_null(asdict(row))))
    if lines:
        write_atomically(curve_path(folder, None), ("\n".join(lines) + "\n").encode(), flush=False)

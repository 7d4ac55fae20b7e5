"""What happened: one record for each (trajectory, budget), and the files of a run's folder.

runs/<study>/plan.json
runs/<study>/<run-id>/job.json                     what to train and how, frozen
                      .lock                        held (flock) by the live process
                      status.json                  state, step, host, error of the last attempt
                      trunk.pt, branch.pt          checkpoints; *.previous.pt, the ones before them
                      curve-*.jsonl                the training curves of trunk and branches
                      log.txt                      the process' own words
                      trunk/, budget-*/            TensorBoard's events; a branch that is a task of its own works in
                                                   budget-*/, with job, lock, status, log and checkpoints of its own
                      profile/                     the trace of a few steps, with runtime.profile
                      record-<tokens>.json         a measured point; one that can be read means done
                      record-<tokens>.damaged      one that could not, before its point was trained again
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from scaling.model.counting import ParameterCount
from scaling.values import ValueMismatch, from_file, read_plain, write_json

RECORD_SCHEMA = 2

JOB_FILE, LOCK_FILE, STATUS_FILE, LOG_FILE = "job.json", ".lock", "status.json", "log.txt"
TRUNK_FILE, BRANCH_FILE = "trunk.pt", "branch.pt"
# In a study's folder: no worker starts, or goes on past its next step, while it is there. The next sweep removes it.
STOP_FILE = "STOP"

PointStatus = Literal["done", "diverged", "out_of_memory", "stopped_early"]
RunState = Literal["running", "done", "interrupted", "failed"]
RunPart = Literal["whole", "trunk", "branch"]


@dataclass(frozen=True)
class Provenance:
    """Where and with what a point was measured; none of it is part of the spec's id.

    `micro_batch_tokens` is the most that one process had in one forward pass, None in records that do not tell;
    `parallel` is how `processes` processes shared the work: none, ddp or fsdp. `slot` is the place that the pool gave
    it, `attention` the kernel of the training passes; `choices` say what of the faster ways was not taken, and why.
    """

    code_version: str
    git_commit: str | None
    python: str
    torch: str
    device: str
    precision: str
    threads: int
    host: str
    corpus: str
    tokenizer: str
    finished_at: str
    micro_batch_tokens: int | None = None
    processes: int = 1
    parallel: str = "none"
    slot: str | None = None
    driver: str | None = None
    attention: str | None = None
    compiled: bool | None = None
    captured: bool | None = None
    choices: str | None = None


@dataclass(frozen=True)
class Divergence:
    """The step (0-based) at which a run was given up, with its numbers; None is a number that is not finite.

    `lowest_mean_nats` is the lowest running mean of the training loss before it.
    """

    step: int
    loss_nats: float | None
    grad_norm: float | None
    lowest_mean_nats: float | None


@dataclass(frozen=True)
class ValidationLoss:
    """The loss on a further validation set: nats/token, its standard error over windows, the same loss in bits per byte
    and as perplexity per word (docs/data.md), over `tokens` predicted tokens."""

    loss_nats: float
    loss_sem_nats: float
    bits_per_byte: float
    word_perplexity: float | None
    tokens: int


@dataclass(frozen=True)
class RunRecord:
    """One point as it happened. Losses are nats/token over the whole validation split; missing is None.

    `tokens` were trained on along the point's own path (trunk and branch), `budget_tokens` were planned.
    `seconds` and `tokens_per_second` are of that path's training steps, evaluation left out; the trunk that
    several points share is counted in each, as it is in `energy_joules`. `loss_sem_nats` is the standard error over
    validation windows. Of a point that `stopped_early` the final loss is that of the trunk where it stopped, under an
    undecayed learning rate and on fewer tokens than planned: no fit takes it.

    `skipped_steps` are steps whose fp16 gradient overflowed, which the scaler leaves out. `mfu` is the counted FLOPs
    per second over `peak_flops_per_second`, which is that of measured matrix products in the precision of training on
    all the point's devices; `datasheet_flops_per_second` is what their vendor says of them. `energy_joules` is what
    NVML counted for those devices. `peak_memory_bytes` is that of the process with most, and `peak_reserved_bytes` what
    its allocator took of the GPU for that (None on a CPU).
    """

    schema: int
    run_id: str
    size: str
    init_seed: int
    data_seed: int
    budget_tokens: int
    status: PointStatus
    reason: str | None
    params: ParameterCount
    tokens: int
    steps: int
    unique_tokens: int
    epochs: float
    flops: int
    flops_kaplan: int
    flops_chinchilla: int
    final_loss_nats: float | None
    best_loss_nats: float | None
    best_loss_tokens: int | None
    loss_sem_nats: float | None
    bits_per_byte: float | None
    perplexity: float | None
    validation_tokens: int
    skipped_steps: int
    seconds: float
    tokens_per_second: float
    peak_memory_bytes: int
    provenance: Provenance
    word_perplexity: float | None = None
    validation_sets: dict[str, ValidationLoss] = field(default_factory=dict)
    divergence: Divergence | None = None
    peak_flops_per_second: float | None = None
    mfu: float | None = None
    energy_joules: float | None = None
    peak_reserved_bytes: int | None = None
    datasheet_flops_per_second: float | None = None


AMOUNTS = (
    "init_seed", "data_seed", "tokens", "steps", "unique_tokens", "epochs", "flops", "flops_kaplan", "flops_chinchilla",
    "loss_sem_nats", "validation_tokens", "skipped_steps", "seconds", "tokens_per_second", "peak_memory_bytes",
    "peak_flops_per_second", "mfu", "energy_joules",
)  # fmt: skip
LOSSES = ("final_loss_nats", "best_loss_nats", "bits_per_byte", "perplexity", "word_perplexity")


@dataclass(frozen=True)
class RunStatus:
    """The last word of a run's process. `updated_at` is seconds since the epoch; `gpu` is its CUDA_VISIBLE_DEVICES,
    `queue_id` its job in the cluster's queue, `attempt` counts the processes that have worked in the folder, `part` is
    what this one did there, `gpu_share` what it might take of its GPU's memory."""

    state: RunState
    step: int
    total_steps: int
    tokens_per_second: float
    updated_at: float
    host: str
    pid: int
    error: str | None = None
    gpu: str | None = None
    queue_id: str | None = None
    attempt: int = 1
    part: RunPart = "whole"
    gpu_share: float = 1.0


def branch_folder(run_folder: Path, budget_tokens: int) -> Path:
    """Where a branch works that is a task of its own."""
    return run_folder / f"budget-{budget_tokens}"


def record_path(run_folder: Path, budget_tokens: int) -> Path:
    return run_folder / record_name(budget_tokens)


def record_name(budget_tokens: int) -> str:
    return f"record-{budget_tokens}.json"


def write_record(run_folder: Path, record: RunRecord) -> None:
    write_json(record_path(run_folder, record.budget_tokens), record)


class LaterRecord(ValueMismatch):
    """A record of a later version: whole, and not to be trained over."""


def read_record(path: Path) -> RunRecord:
    """A record, of an earlier schema too. Raises ValueMismatch, naming the file, for a broken one and for values that
    no training has, LaterRecord for a later schema."""
    record = from_file(RunRecord, _upgraded(read_plain(path), path), path)
    if (problem := _impossible(record)) is not None:
        raise ValueMismatch(f"{path} holds what no training leaves: {problem}")
    return record


def _impossible(record: RunRecord) -> str | None:
    """What speaks against a record, as one that was edited, or damaged in its digits, may be."""
    amounts = {name: getattr(record, name) for name in AMOUNTS} | {
        f"params.{k}": v for k, v in vars(record.params).items()
    }
    losses = {name: getattr(record, name) for name in LOSSES}
    for name, own in record.validation_sets.items():
        if not name.replace("_", "").isalnum() or not name.isascii():
            return f"validation_sets has the name {name!r}"
        losses |= {f"validation_sets.{name}.loss_nats": own.loss_nats}
    for name, amount in amounts.items():
        if amount is not None and amount < 0:
            return f"{name} is {amount}"
    for name, loss in losses.items():
        if loss is not None and not loss > 0:
            return f"{name} is {loss}"
    if record.budget_tokens < 1 or record.params.total < 1:
        return f"budget_tokens is {record.budget_tokens} and its parameters are {record.params.total}"
    if record.status == "done" and record.final_loss_nats is None:
        return "it is done and has no final_loss_nats"
    try:
        datetime.fromisoformat(record.provenance.finished_at)
    except ValueError:
        return f"provenance.finished_at is {record.provenance.finished_at!r}"
    return None


def _upgraded(plain: Any, path: Path) -> Any:
    """A record's plain form as RECORD_SCHEMA has it; files stay as they are."""
    schema = plain.get("schema") if isinstance(plain, Mapping) else None
    if schema == 1:
        # What schema 2 added was not measured then, and one process trained each point: the fields' defaults.
        return {**plain, "schema": 2}
    if schema != RECORD_SCHEMA:
        later = isinstance(schema, int) and schema > RECORD_SCHEMA
        raise (LaterRecord if later else ValueMismatch)(
            f"{path} has record schema {schema!r} and this version reads 1 to {RECORD_SCHEMA}: use the version that "
            "wrote it, or move the run's folder away to train it again"
        )
    return plain


def own_record(path: Path) -> RunRecord:
    """As `read_record`, of the very run and budget that the folder and the file are named after: a record that was
    copied from another run says nothing of this one. Raises ValueMismatch, LaterRecord."""
    record = _read_once(path, path.stat())
    if path.parts[-2:] != (record.run_id, record_name(record.budget_tokens)):
        raise ValueMismatch(
            f"{path} is of the run {record.run_id} at {record.budget_tokens} tokens: it was copied here"
        )
    return record


def _read_once(path: Path, state: os.stat_result) -> RunRecord:
    """A command asks for the same record a dozen times; one that was written anew has another inode."""
    return _read_of(path, state.st_ino, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=65_536)
def _read_of(path: Path, *_: int) -> RunRecord:
    return read_record(path)


def recorded(run_folder: Path, budget_tokens: int) -> RunRecord | None:
    """The record of a point, None where there is none or none that can be read: then the point is not done. Raises
    LaterRecord, and OSError where the disk does not give it."""
    try:
        return own_record(record_path(run_folder, budget_tokens))
    except LaterRecord:
        raise
    except (FileNotFoundError, NotADirectoryError, ValueMismatch):
        return None


def read_records(study_folder: Path, tell: Callable[[str], None] = lambda words: None) -> Iterator[RunRecord]:
    """Every record of a study that can be read, by run and budget; the others are told. Raises LaterRecord, OSError."""
    for path in sorted(study_folder.glob("*/record-*.json")):
        try:
            yield own_record(path)
        except LaterRecord:
            raise
        except ValueMismatch as error:
            tell(f"{error}. It counts as absent: the next sweep trains its point again")


def set_aside_damaged(run_folder: Path, budgets: Iterable[int]) -> None:
    """Keep what stands where the record of a budget should, and is none, under another name; for the run's worker,
    before it writes there."""
    for budget in budgets:
        path = record_path(run_folder, budget)
        if path.exists() and recorded(run_folder, budget) is None:
            path.replace(path.with_suffix(".damaged"))


def is_done(run_folder: Path, budgets: tuple[int, ...]) -> bool:
    return all(recorded(run_folder, budget) is not None for budget in budgets)

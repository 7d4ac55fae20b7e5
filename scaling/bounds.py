"""What every number of a config may be, in one table beside the schemas.

The dataclasses say which keys there are, their kinds, and what several keys must be together; this table says within
which range each number lies, before a dataclass is made of it. The ends are generous: they keep out what is no such
quantity at all (a NaN, a share of 3, more FLOPs than the sun has joules), and what would take the planner for ever.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scaling.values import ValueMismatch, shown


@dataclass(frozen=True)
class Bound:
    """From `low` to `high`, either end left out where `above` or `below` says so; `example` is what is usual."""

    low: float
    high: float
    example: str
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        """A NaN holds nowhere."""
        low = value > self.low if self.above else value >= self.low
        return low and (value < self.high if self.below else value <= self.high)

    @property
    def words(self) -> str:
        """Such as "at least 0 and below 1"."""
        low = f"{'above' if self.above else 'at least'} {_written(self.low)}"
        return f"{low} and {'below' if self.below else 'at most'} {_written(self.high)}"


def _written(end: float) -> str:
    return f"{end:,.0f}" if end == round(end) and abs(end) < 1e12 else f"{end:g}"


def between(low: float, high: float, example: str) -> Bound:
    return Bound(low, high, example)


def share(example: str) -> Bound:
    """Of a whole, neither nothing nor all."""
    return Bound(0.0, 1.0, example, above=True, below=True)


def decay(example: str) -> Bound:
    """Of a running mean: 0 remembers nothing, 1 everything."""
    return Bound(0.0, 1.0, example, below=True)


FLOPS = between(1.0, 1e35, "1e15")
TOKENS = between(1.0, 1e30, "5e8")
SEED = between(0, 2**32 - 1, "0")
UNIT = between(1e-30, 1e30, "1e6")
EXPONENT = between(-4.0, 4.0, "0")
RATE = between(1e-12, 1e3, "0.003")
SECONDS = between(0.0, 1e9, "30")
BUDGET = between(1e-6, 1e35, "1048576")  # tokens, FLOPs, epochs or tokens per parameter, by the kind of grid
NUMBER = between(-1e30, 1e30, "1")  # of any unit

BOUNDS: dict[str, Bound] = {
    "data.source.max_bytes": between(1, 1e18, "5e7"),
    "data.source.language_seed": SEED,
    "data.source.language_documents": between(2, 1e8, "20000"),
    "data.source.language_words_per_document": Bound(1.0, 1e6, "150", above=True),
    "data.source.language_words": between(1, 1e5, "800"),
    "data.source.language_classes": between(1, 1e5, "8"),
    "data.source.language_zipf_exponent": between(0.0, 10.0, "1"),
    "data.tokenizer.vocab_size": between(1, 1e7, "1024"),
    "data.validation_fraction": share("0.01"),
    "data.unique_tokens": between(2, 1e18, "1048576"),
    "data.near_duplicate_similarity": Bound(0.1, 1.0, "0.8", below=True),
    "data.validation_sets[].fraction": share("0.1"),
    "model.context": between(1, 2**24, "128"),
    "model.rope_base": Bound(1.0, 1e12, "10000", above=True),
    "model.mlp_ratio": between(1e-3, 1e3, "4"),
    "model.dropout": decay("0"),
    "model.mup_base_width": between(1, 1e7, "64"),
    "model.num_kv_heads": between(1, 1e6, "2"),
    "recipe.cooldown_share": between(1e-6, 1.0, "0.2"),
    "recipe.final_lr_share": decay("0.1"),
    "recipe.matrix_lr": RATE,
    "recipe.embedding_lr": RATE,
    "recipe.vector_lr": RATE,
    "recipe.batch_tokens": between(1, 1e12, "512"),
    "recipe.batch_exponent": EXPONENT,
    "recipe.reference_params": between(1.0, 1e18, "1e5"),
    "recipe.warmup_params_share": between(0.0, 1e6, "0.02"),
    "recipe.warmup_min_steps": between(0, 1e9, "50"),
    "recipe.beta1": decay("0.9"),
    "recipe.beta2": decay("0.99"),
    "recipe.epsilon": between(1e-40, 1.0, "1e-10"),
    "recipe.weight_decay": between(0.0, 1e3, "0.1"),
    "recipe.grad_clip": between(1e-9, 1e9, "1"),
    "recipe.divergence_margin_nats": between(1e-9, 1e3, "1"),
    "recipe.divergence_steps": between(0, 1e9, "200"),
    "recipe.evaluate_every_tokens": between(1, 1e18, "131072"),
    "recipe.early_stop_patience": between(1, 1e9, "3"),
    "recipe.early_stop_min_delta_nats": between(0.0, 1e3, "0.001"),
    "recipe.momentum": decay("0.95"),
    "recipe.z_loss": between(0.0, 1e3, "1e-4"),
    "recipe.lr_exponent": EXPONENT,
    "recipe.lr_tokens_exponent": EXPONENT,
    "recipe.batch_tokens_exponent": EXPONENT,
    "recipe.reference_tokens": TOKENS,
    "recipe.weight_decay_timescale": between(1e-6, 1e6, "0.1"),
    "recipe.evaluate_most_tokens": between(1, 1e18, "4000000"),
    "grid.budgets[]": BUDGET,
    "grid.sizes[].num_layers": between(1, 1e4, "4"),
    "grid.sizes[].d_model": between(1, 1e6, "128"),
    "grid.sizes[].num_heads": between(1, 1e5, "8"),
    "grid.sizes[].budgets[]": BUDGET,
    "grid.sizes[].num_kv_heads": between(1, 1e5, "2"),
    "grid.sizes[].held_out[]": BUDGET,
    "grid.replicates[].seeds[]": SEED,
    "grid.replicates[].budgets[]": BUDGET,
    "grid.unique_tokens[]": between(2, 1e18, "131072"),
    "grid.vocab_sizes[]": between(1, 1e7, "1024"),
    "grid.max_flops": FLOPS,
    "grid.holdout_share": decay("0.2"),
    "grid.holdout_min": between(0, 1e6, "4"),
    "grid.seed": SEED,
    "runtime.micro_batch_tokens": between(1, 1e12, "4096"),
    "runtime.workers": between(1, 4096, "2"),
    "runtime.threads": between(1, 4096, "1"),
    "runtime.log_every_steps": between(1, 1e9, "50"),
    "runtime.checkpoint_every_seconds": SECONDS,
    "time_model.seconds_per_run": SECONDS,
    "time_model.seconds_per_step": SECONDS,
    "time_model.seconds_per_layer_step": SECONDS,
    "time_model.flops_per_second": between(1.0, 1e30, "1e14"),
    "time_model.seconds_per_study": SECONDS,
    "time_model.seconds_per_branch": SECONDS,
    "time_model.seconds_per_width_token": SECONDS,
    "time_model.memory_bytes": between(1.0, 1e18, "8e10"),
    "time_model.watts": between(1e-3, 1e9, "700"),
    "power.target": FLOPS,
    "power.law.E": between(0.0, 1e3, "1.8"),
    "power.law.A": between(1e-100, 1e100, "400"),
    "power.law.B": between(1e-100, 1e100, "2000"),
    "power.law.alpha": between(1e-6, 8.0, "0.34"),
    "power.law.beta": between(1e-6, 8.0, "0.37"),
    "power.relative_sd": share("0.01"),
    "power.shared": between(0.0, 1.0, "0.5"),
    "launch.workers_per_gpu": between(1, 64, "1"),
    "launch.gpus_per_point": between(1, 4096, "1"),
    "launch.min_seconds_per_job": SECONDS,
    "fit.bootstrap": between(0, 30_000, "1000"),
    "fit.level": share("0.95"),
    "fit.targets[]": FLOPS,
    "fit.targets.flops[]": FLOPS,
    "fit.targets.points[][]": TOKENS,
    "fit.seed": SEED,
    "point": between(0, 1e9, "0"),
    "retry": between(0, 1e3, "1"),
    "flops": FLOPS,
    "flops[]": FLOPS,
    "max_flops": FLOPS,
    "targets[]": FLOPS,
    "targets.flops[]": FLOPS,
    "targets.points[][]": TOKENS,
    "bootstrap": between(0, 30_000, "4000"),
    "level": share("0.95"),
    "seed": SEED,
    "gpu_hours": between(1e-9, 1e12, "1000"),
    "gpus": between(1, 1e6, "8"),
    "sizes[]": between(1.0, 1e18, "1e8"),
    "columns.params_unit": UNIT,
    "columns.tokens_unit": UNIT,
    "columns.flops_unit": UNIT,
    "columns.budget_unit": UNIT,
    "columns.unique_tokens_unit": UNIT,
    "loss_unit": between(-1e6, 1e6, "0.25"),
    "flops_per_second": between(1.0, 1e30, "2e14"),
    "tokens": TOKENS,
    "params": between(1.0, 1e30, "1e9"),
    "loss": between(1e-6, 1e3, "2.5"),
    "perplexity": Bound(1.0, 1e30, "12", above=True),
    "inference_tokens": between(0.0, 1e30, "1e12"),
    "share": share("0.005"),
    "gate.multiplier": Bound(1.0, 1e6, "1.1", above=True),
    "gate.risk": Bound(0.0, 0.5, "0.05", above=True, below=True),
    "trainer.gpus": between(0, 4096, "1"),
    "trainer.timeout": between(1e-3, 1e9, "86400"),
    "trainer.stop_seconds": between(0, 1e9, "60"),
    "space.*": NUMBER,
    "space.*.grid_points": between(2, 1e3, "5"),
    "trials": between(1, 1e6, "24"),
    "evaluations": between(1, 1e4, "4"),
    "finalists": between(1, 1e3, "2"),
    "seeds[]": SEED,
    "sampler_seed": SEED,
    "multiples[]": RATE,
}


def require_within(plain: object) -> None:
    """Raise ValueMismatch for the first number of a config's plain value that is not within its bounds: the key, the
    value, the constraint and what is usual. What is no number is left to its schema."""
    for where, value in _numbers(plain, ""):
        bound = BOUNDS.get(pattern(where))
        if bound is not None and not bound.holds(value):
            raise ValueMismatch(f"{where} is {shown(value)}; it must be {bound.words}, for example {bound.example}")


def pattern(where: str) -> str:
    """A key's path as the table has it: places in lists, and names that are the user's, left out."""
    where = re.sub(r"\[\d+\]", "[]", where)
    where = where.replace("data.validation_sets[].source.", "data.source.")
    searched = re.fullmatch(r"space\.([^.]+)\.(?:low|high|choices\[\])", where)
    if searched is not None:  # what is tried is what a recipe may have
        own = {"lr_multiple": "multiples[]"}.get(searched[1], f"recipe.{searched[1]}")
        return own if own in BOUNDS else "space.*"
    return re.sub(r"^space\.[^.]+\.", "space.*.", where)


def _numbers(plain: Any, where: str) -> Iterator[tuple[str, float]]:
    """Every number with its path; also one that is written as text, as YAML 1.1 reads 4e6."""
    if isinstance(plain, Mapping):
        for key, item in plain.items():
            yield from _numbers(item, f"{where}.{key}" if where else str(key))
    elif isinstance(plain, list | tuple):
        for i, item in enumerate(plain):
            yield from _numbers(item, f"{where}[{i}]")
    elif isinstance(plain, int | float) and not isinstance(plain, bool):
        yield where, plain
    elif isinstance(plain, str) and pattern(where) in BOUNDS:
        try:
            yield where, float(plain)
        except ValueError:
            return

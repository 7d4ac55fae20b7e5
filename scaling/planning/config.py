"""What a person writes to ask for a study: model options, a recipe, a grid. `rules` turns it into numbers."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from scaling.model.config import Activation, Norm, Positions
from scaling.names import nearest
from scaling.specs import DivergenceRule, Evaluations, OptimizerKind, ScheduleKind
from scaling.values import shown

LONGEST_NAME = 64  # of a size

GridKind = Literal["tokens", "tokens_per_param", "isoflop", "epochs"]


@dataclass(frozen=True)
class ModelOptions:
    """The options that all sizes of a study share. `d_ff` is `mlp_ratio` times the width; `context` in tokens."""

    context: int
    positions: Positions
    rope_base: float
    norm: Norm
    activation: Activation
    mlp_ratio: float
    dropout: float
    tied_embeddings: bool
    qk_norm: bool
    mup_base_width: int | None
    num_kv_heads: int | None = None

    def __post_init__(self) -> None:
        if self.mlp_ratio <= 0:
            raise ValueError(f"model.mlp_ratio is {self.mlp_ratio}; it must be positive, 4 is usual")


@dataclass(frozen=True)
class SizeConfig:
    """One decoder of the grid; `budgets` replaces the grid's for this size, `num_kv_heads` the model's.

    Those of its budgets that `held_out` repeats are kept out of the fit, beside the grid's own share.
    """

    name: str
    num_layers: int
    d_model: int
    num_heads: int
    budgets: tuple[float, ...] | None = None
    num_kv_heads: int | None = None
    held_out: tuple[float, ...] = ()


@dataclass(frozen=True)
class ReplicateConfig:
    """Further seeds of one size at some of its budgets (null: all), for the noise floor of every fit."""

    size: str
    seeds: tuple[int, ...]
    budgets: tuple[float, ...] | None = None


@dataclass(frozen=True)
class GridConfig:
    """Sizes times budgets, a budget being
    tokens            training tokens
    tokens_per_param  tokens for each parameter (total N), Hoffmann et al. 2022
    isoflop           counted training FLOPs, from which each size gets its tokens
    epochs            passes over the unique tokens

    `unique_tokens` multiplies every trajectory: each is trained once on each of these prefixes of the corpus, which are
    nested (Muennighoff et al. 2023, arXiv 2305.16264); empty for the corpus as `data.unique_tokens` has it.

    `vocab_sizes` repeats the whole grid for each of these sizes of a BPE, of which `data.tokenizer.vocab_size`, the
    study's own, is one; empty for that alone. Each has laws of its own, which compare in bits per byte.

    Points above `max_flops` are left out. `holdout_share` of the points, those of most compute and at least
    `holdout_min` of them, are kept out of the fit; 0 keeps none out.
    """

    kind: GridKind
    budgets: tuple[float, ...]
    sizes: tuple[SizeConfig, ...]
    replicates: tuple[ReplicateConfig, ...] = ()
    unique_tokens: tuple[float, ...] = ()
    vocab_sizes: tuple[int, ...] = ()
    max_flops: float | None = None
    holdout_share: float = 0.2
    holdout_min: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.sizes:
            raise ValueError("grid.sizes is empty; name at least one decoder with num_layers, d_model and num_heads")
        names = Counter(size.name for size in self.sizes)
        for name, count in names.items():
            if count > 1:
                raise ValueError(f"grid.sizes has {name!r} twice; give each size its own name")
            if not 0 < len(name) <= LONGEST_NAME or not all(letter.isalnum() or letter in "_." for letter in name):
                raise ValueError(
                    f"the size {shown(name)} becomes part of a folder's name; use letters, digits, '_' and '.', "
                    f"at most {LONGEST_NAME}"
                )
        for size in self.sizes:
            stray = set(size.held_out) - set(size.budgets or self.budgets)
            if stray:
                raise ValueError(
                    f"the size {size.name} holds out {min(stray):g}, which is none of its budgets: add it to its "
                    "budgets, or take it out of held_out"
                )
        for replicate in self.replicates:
            if replicate.size not in names:
                raise ValueError(
                    f"grid.replicates names the size {shown(replicate.size)}, which grid.sizes does not have: "
                    f"{nearest(replicate.size, names)} With sizes of your own give replicates of them, or "
                    "grid.replicates=[]"
                )
            if self.seed in replicate.seeds:
                raise ValueError(
                    f"grid.replicates gives {replicate.size} the seed {self.seed}, which the grid itself uses: take "
                    "others"
                )
        for budget in (*self.budgets, *(b for s in self.sizes for b in s.budgets or ())):
            if not budget > 0:
                raise ValueError(f"grid.budgets has {budget}; a budget must be positive")
        if len(set(self.unique_tokens)) < len(self.unique_tokens) or any(not u >= 2 for u in self.unique_tokens):
            raise ValueError(f"grid.unique_tokens is {list(self.unique_tokens)}; give different numbers of at least 2")
        if len(set(self.vocab_sizes)) < len(self.vocab_sizes):
            raise ValueError(f"grid.vocab_sizes is {list(self.vocab_sizes)}; give each vocabulary once")
        if self.kind == "epochs" and not self.unique_tokens:
            raise ValueError(
                "grid.kind is epochs and grid.unique_tokens is empty: say of how many tokens, for example "
                "grid.unique_tokens=[131072,524288]"
            )
        if not 0.0 <= self.holdout_share < 1.0:
            raise ValueError(f"grid.holdout_share is {self.holdout_share}; it must be at least 0 and below 1")
        if self.holdout_min < 0:
            raise ValueError(f"grid.holdout_min is {self.holdout_min}; it must be at least 0")


@dataclass(frozen=True)
class RecipeConfig:
    """Rules for the numbers of a run, as functions of N alone (and of D where a schedule has one budget).

    optimizer           adamw, or muon for the hidden matrices with adamw for the rest
    lr_exponent         all three rates grow with total N / `reference_params` to this power, beside what muP does
    matrix_lr           peak of the hidden matrices at muP's base width, or at any width without muP; of another kind
                        under muon (some ten times as large), whose steps have a norm of their own at every width
    embedding_lr, vector_lr   peaks of embeddings and of norm gains; muP keeps them constant in width
    batch_tokens        tokens in a step at `reference_params`; grows with total N to the power `batch_exponent`
    warmup_params_share warmup tokens for each parameter (Porian et al. 2024, arXiv 2406.19146, warm up over N
                        tokens), at least `warmup_min_steps`
    evaluate_every_tokens, early_stop_*   evaluations on the way, and after how many without progress a run stops: see
                        `specs.Evaluations`; null for none
    evaluate_most_tokens   of a validation text, those that an evaluation takes; null: all
    divergence_*        when a run is given up: see `specs.DivergenceRule`; 0 steps switch the rule off
    momentum            of muon
    z_loss              weight of the squared log partition function in the objective; no loss that is reported has it

    Where a schedule belongs to one budget (cosine, linear), its tokens D may count as well:
    lr_tokens_exponent, batch_tokens_exponent   rates and batch grow as (D / `reference_tokens`) to these powers
    weight_decay_timescale   replaces `weight_decay`: the share of a run over which AdamW forgets an update
    """

    schedule: ScheduleKind
    cooldown_share: float
    final_lr_share: float
    matrix_lr: float
    embedding_lr: float
    vector_lr: float
    batch_tokens: int
    batch_exponent: float
    reference_params: float
    warmup_params_share: float
    warmup_min_steps: int
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    grad_clip: float
    divergence_margin_nats: float = DivergenceRule.margin_nats
    divergence_steps: int = DivergenceRule.steps
    evaluate_every_tokens: int | None = None
    early_stop_patience: int | None = None
    early_stop_min_delta_nats: float = 0.0
    evaluate_most_tokens: int | None = Evaluations.most_tokens
    optimizer: OptimizerKind = "adamw"
    momentum: float = 0.95
    z_loss: float = 0.0
    lr_exponent: float = 0.0
    lr_tokens_exponent: float = 0.0
    batch_tokens_exponent: float = 0.0
    reference_tokens: float = 1e6
    weight_decay_timescale: float | None = None

    def __post_init__(self) -> None:
        self._require_one_budget_for_rules_of_tokens()
        if self.early_stop_patience is not None and self.evaluate_every_tokens is None:
            raise ValueError(
                f"recipe.early_stop_patience is {self.early_stop_patience}, and needs recipe.evaluate_every_tokens, "
                "which is null: give that too, for example 131072, or set patience to null"
            )

    def _require_one_budget_for_rules_of_tokens(self) -> None:
        for name in ("lr_tokens_exponent", "batch_tokens_exponent", "weight_decay_timescale"):
            if getattr(self, name) and self.schedule == "wsd":
                raise ValueError(
                    f"recipe.{name} is {getattr(self, name)} and recipe.schedule is wsd, where one trunk serves all "
                    "budgets and so cannot know their tokens: take recipe=cosine or recipe=linear, or leave it out"
                )


@dataclass(frozen=True)
class TimeModel:
    """Seconds of a run on one worker: per process (`seconds_per_branch`: of a branch that is a task of its own), per
    step and layer, per FLOP, and, of what memory takes, per token, layer and channel of the width; and of a study
    beside its runs (start, forecasts before the held-out branches, fits, report). By machine, which has so much memory
    and takes so many watts. `name` auto is the model of whatever the study runs on.
    """

    seconds_per_run: float
    seconds_per_step: float
    seconds_per_layer_step: float
    flops_per_second: float
    seconds_per_study: float = 0.0
    seconds_per_branch: float = 0.0
    seconds_per_width_token: float = 0.0
    memory_bytes: float | None = None
    watts: float | None = None
    name: str = ""

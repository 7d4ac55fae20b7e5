"""The architecture of one decoder, as plain numbers. Counting lives in `counting`, tensors in `decoder`."""

from dataclasses import dataclass, field
from typing import Literal

from scaling.model.external import ExternalModel

Positions = Literal["rotary", "learned", "sinusoidal"]
Norm = Literal["rmsnorm", "layernorm"]
Activation = Literal["gelu", "swiglu", "relu2"]

# Marks a field that came after specs had ids: at its default it is no part of the hash (`specs`), so that no id moved.
ADDED_LATER = {"added_later": True}
MOST_TRIED, MOST_DIVISORS = 1_000, 12


def _divisors(number: int) -> list[int]:
    """Those from the smallest on, as many as a person would choose from."""
    found = [h for h in range(1, min(number, MOST_TRIED) + 1) if number % h == 0]
    return found[:MOST_DIVISORS]


@dataclass(frozen=True)
class ModelConfig:
    """A pre-norm Transformer decoder without biases.

    `context` is in tokens. With `mup_base_width` set, initialisation, the logits' multiplier and (in
    `planning.rules`) the learning rates follow the maximal-update parametrisation (Yang et al. 2022,
    arXiv 2203.03466, Table 8), so that one tuned learning rate serves every width; None is the standard
    parametrisation. `num_kv_heads` heads of keys and values are shared by equal groups of the `num_heads` query heads
    (Ainslie et al. 2023, arXiv 2305.13245); None gives each query head its own.

    An `external` model is another program's: what it says counts, its shape here is a stand-in, and `context` is what
    its batches are multiples of.
    """

    num_layers: int
    d_model: int
    num_heads: int
    vocab_size: int
    context: int
    d_ff: int
    positions: Positions = "rotary"
    rope_base: float = 10_000.0
    norm: Norm = "rmsnorm"
    activation: Activation = "gelu"
    dropout: float = 0.0
    tied_embeddings: bool = True
    qk_norm: bool = False
    mup_base_width: int | None = None
    num_kv_heads: int | None = field(default=None, metadata=ADDED_LATER)
    external: ExternalModel | None = field(default=None, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        for name in ("num_layers", "d_model", "num_heads", "vocab_size", "context", "d_ff"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"model.{name} is {value}; it must be at least 1")
        if self.d_model % self.num_heads:
            divisors = _divisors(self.d_model)
            raise ValueError(
                f"model.num_heads is {self.num_heads}, which does not divide model.d_model = {self.d_model}; "
                f"choose one of {divisors}"
            )
        if self.num_kv_heads is not None and (self.num_kv_heads < 1 or self.num_heads % self.num_kv_heads):
            divisors = _divisors(self.num_heads)
            raise ValueError(
                f"model.num_kv_heads is {self.num_kv_heads}, which does not divide model.num_heads = "
                f"{self.num_heads}; choose one of {divisors}, or null for as many"
            )
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(
                f"the head size is {self.head_dim} (model.d_model {self.d_model} / model.num_heads "
                f"{self.num_heads}); rotary positions turn pairs of channels, so it must be even: change "
                "model.num_heads, or set model.positions=learned"
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ValueError(
                f"model.d_model is {self.d_model}; sinusoidal positions come in pairs, sine and cosine, "
                "so it must be even"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"model.dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.rope_base <= 1.0:
            raise ValueError(f"model.rope_base is {self.rope_base}; it must exceed 1")
        if self.mup_base_width is not None and self.mup_base_width < 1:
            raise ValueError(f"model.mup_base_width is {self.mup_base_width}; it must be at least 1, or null")

    @property
    def head_dim(self) -> int:
        return self.d_model // self.num_heads

    @property
    def kv_heads(self) -> int:
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    @property
    def width_multiplier(self) -> float:
        """Width over muP's base width; 1 under the standard parametrisation."""
        return 1.0 if self.mup_base_width is None else self.d_model / self.mup_base_width

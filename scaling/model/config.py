"""The architecture of one decoder, as plain numbers. Counting lives in `counting`, tensors in `decoder`."""

from dataclasses import dataclass
from typing import Literal

Positions = Literal["rotary", "learned", "sinusoidal"]
Norm = Literal["rmsnorm", "layernorm"]
Activation = Literal["gelu", "swiglu"]


@dataclass(frozen=True)
class ModelConfig:
    """A pre-norm Transformer decoder without biases.

    `context` is in tokens. With `mup_base_width` set, initialisation, the logits' multiplier and (in
    `planning.rules`) the learning rates follow the maximal-update parametrisation (Yang et al. 2022,
    arXiv 2203.03466, Table 8), so that one tuned learning rate serves every width; None is the standard
    parametrisation.
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

    def __post_init__(self) -> None:
        for name in ("num_layers", "d_model", "num_heads", "vocab_size", "context", "d_ff"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"model.{name} is {value}; it must be at least 1")
        if self.d_model % self.num_heads:
            divisors = [h for h in range(1, self.d_model + 1) if self.d_model % h == 0]
            raise ValueError(
                f"model.num_heads is {self.num_heads}, which does not divide model.d_model = {self.d_model}; "
                f"choose one of {divisors}"
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
    def width_multiplier(self) -> float:
        """Width over muP's base width; 1 under the standard parametrisation."""
        return 1.0 if self.mup_base_width is None else self.d_model / self.mup_base_width

"""Parameters and FLOPs of a decoder under every convention that the literature uses, from its config alone.

The conventions disagree by tens of percent at small sizes, and exponents move with them (Pearce & Song 2024,
arXiv 2406.12907; Porian et al. 2024, arXiv 2406.19146), so each has a name and none is "the" N or C.
"""

from dataclasses import dataclass

from scaling.model.config import ModelConfig

# A multiply and an add; the backward pass costs twice the forward pass (one product for the inputs' gradient,
# one for the weights'): Kaplan et al. 2020, arXiv 2001.08361, section 2.1.
FLOPS_PER_MULTIPLY_ADD = 2
TRAINING_OVER_FORWARD = 3


@dataclass(frozen=True)
class ParameterCount:
    """Parameters by group; tied weights are counted once, under `embedding`."""

    embedding: int
    positions: int
    attention: int
    mlp: int
    norms: int
    head: int

    @property
    def total(self) -> int:
        """Every trained number: the N of Hoffmann et al. 2022 (arXiv 2203.15556) and the default here."""
        return self.embedding + self.positions + self.attention + self.mlp + self.norms + self.head

    @property
    def non_embedding(self) -> int:
        """Without token and position embeddings and without the head: the N of Kaplan et al. 2020."""
        return self.attention + self.mlp + self.norms

    @property
    def matrices(self) -> int:
        """The hidden matrices alone: 12 L d^2 for a multi-head decoder with a 4x MLP."""
        return self.attention + self.mlp


def count_parameters(model: ModelConfig) -> ParameterCount:
    """By group; of an external model the total, as it was described, less the embeddings where that is known."""
    if model.external is not None:
        total, inner = model.external.params, model.external.non_embedding_params
        rest = total if inner is None else inner
        return ParameterCount(embedding=total - rest, positions=0, attention=0, mlp=rest, norms=0, head=0)
    d = model.d_model
    # A LayerNorm here has a gain and no bias, like an RMSNorm. Two norms a layer and a last one.
    norms = (2 * model.num_layers + 1) * d
    if model.qk_norm:
        norms += 2 * model.num_layers * model.head_dim
    mlp_matrices = 3 if model.activation == "swiglu" else 2
    # Queries and the output take all heads, keys and values those they have.
    attention_width = 2 * d + 2 * model.kv_heads * model.head_dim
    return ParameterCount(
        embedding=model.vocab_size * d,
        positions=model.context * d if model.positions == "learned" else 0,
        attention=model.num_layers * d * attention_width,
        mlp=model.num_layers * mlp_matrices * d * model.d_ff,
        norms=norms,
        head=0 if model.tied_embeddings else model.vocab_size * d,
    )


@dataclass(frozen=True)
class FlopCount:
    """Training FLOPs (forward and backward) for each token, by group; matrix products only.

    `attention` counts the full context-by-context products, as kernels are credited (Chowdhery et al. 2022,
    arXiv 2204.02311, appendix B), though causality makes half of them avoidable. Sharing keys and values among heads
    saves none of them.
    """

    matrices: int
    attention: int
    head: int

    @property
    def total(self) -> int:
        return self.matrices + self.attention + self.head

    @property
    def head_share(self) -> float:
        return self.head / self.total


def count_training_flops(model: ModelConfig) -> FlopCount:
    """Training FLOPs for each token, counted product by product: the default C is this times D. Of an external model
    those that were described."""
    if model.external is not None:
        return FlopCount(matrices=model.external.flops_per_token, attention=0, head=0)
    per_multiply_add = FLOPS_PER_MULTIPLY_ADD * TRAINING_OVER_FORWARD
    scores_and_values = 2 * model.context * model.d_model
    return FlopCount(
        matrices=per_multiply_add * count_parameters(model).matrices,
        attention=per_multiply_add * model.num_layers * scores_and_values,
        head=per_multiply_add * model.vocab_size * model.d_model,
    )


def kaplan_training_flops(model: ModelConfig) -> int:
    """6 N for each token with the non-embedding N: Kaplan et al. 2020. It leaves the head out."""
    return 6 * count_parameters(model).non_embedding


def chinchilla_training_flops(model: ModelConfig) -> int:
    """6 N for each token with the total N: the usual C = 6 N D of Hoffmann et al. 2022."""
    return 6 * count_parameters(model).total

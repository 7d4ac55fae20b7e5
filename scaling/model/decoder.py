"""A pre-norm Transformer decoder.

Shapes: B sequences, T positions, H query heads, G heads of keys and values, K channels a head, D = H K width, F hidden
width, V vocabulary.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scaling.model.attention import causal_attention
from scaling.model.config import ModelConfig
from scaling.model.cross_entropy import gradient_of_z_loss, linear_cross_entropy
from scaling.model.forms import CastTogether, for_a_core, product_dtype
from scaling.model.heads import HeadsApart, TurnedApart, TurnedHeads
from scaling.model.rms_norm import rms_norm

NORM_EPSILON = 1e-6
IGNORED_TARGET = -1
# Measured: with tied embeddings .02 loses 3% at 98k parameters against .1 (docs/recipe.md).
EMBEDDING_STD = 0.1


class RMSNorm(nn.Module):
    """x / rms(x) with a gain (Zhang & Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.gain, NORM_EPSILON)


class LayerNorm(nn.Module):
    """Centred and scaled, with a gain and, like everything here, no bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.gain.shape, self.gain.float(), None, NORM_EPSILON)


class Linear(nn.Linear):
    """Without bias; `cast` is the weight in the type of the products, for the pass under way."""

    cast: Tensor | None = None

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__(width_in, width_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.cast is None else self.cast
        return F.linear(x.type_as(weight), weight)


def make_norm(model: ModelConfig, width: int) -> RMSNorm | LayerNorm:
    return RMSNorm(width) if model.norm == "rmsnorm" else LayerNorm(width)


def rotation_table(model: ModelConfig) -> Tensor:
    """Cosine and sine [T, 1, K/2, 2] of rotary positions (Su et al. 2021, arXiv 2104.09864)."""
    half = model.head_dim // 2
    frequency_K2 = model.rope_base ** (-torch.arange(half, dtype=torch.float64) / half)
    angle_TxK2 = torch.arange(model.context, dtype=torch.float64)[:, None] * frequency_K2
    return torch.stack([angle_TxK2.cos(), angle_TxK2.sin()], dim=-1).float()[:, None]


def rotate(x_BxTxHxK: Tensor, turn_Tx1xK2x2: Tensor) -> Tensor:
    """Turn neighbouring pairs of channels, in float32. Eagerly it is one complex product, twice as fast on CPU as its
    parts; the compiler fuses the parts and knows no complex numbers."""
    pairs = x_BxTxHxK.float().reshape(*x_BxTxHxK.shape[:-1], -1, 2)
    turn = turn_Tx1xK2x2[: x_BxTxHxK.shape[1]]
    if torch.compiler.is_compiling():
        (re, im), (cos, sin) = pairs.unbind(-1), turn.unbind(-1)
        turned = torch.stack([re * cos - im * sin, re * sin + im * cos], dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turn))
    return turned.flatten(-2)


def sinusoid_table(model: ModelConfig) -> Tensor:
    """[T, D] of Vaswani et al. 2017 (arXiv 1706.03762), section 3.5; sines first, then cosines."""
    half = model.d_model // 2
    frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(model.context, dtype=torch.float64)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1).float()


class Attention(nn.Module):
    """Causal attention, multi-head or grouped-query; one product makes queries, keys and values."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.num_heads, self.kv_heads = model.num_heads, model.kv_heads
        self.dropout, self.rotary = model.dropout, model.positions == "rotary"
        self.qkv = Linear(model.d_model, (model.num_heads + 2 * model.kv_heads) * model.head_dim)
        self.out = Linear(model.d_model, model.d_model)
        self.query_norm = make_norm(model, model.head_dim) if model.qk_norm else None
        self.key_norm = make_norm(model, model.head_dim) if model.qk_norm else None

    def forward(self, x_BxTxD: Tensor, turns_2xTx1xK2x2: Tensor) -> Tensor:
        B, T, D = x_BxTxD.shape
        H, G = self.num_heads, self.kv_heads
        packed_BxTxNxK = self.qkv(x_BxTxD).view(B, T, H + 2 * G, D // H)
        q_BxHxTxK, k_BxGxTxK, v_BxGxTxK = self.heads(packed_BxTxNxK, turns_2xTx1xK2x2)
        dropout = self.dropout if self.training else 0.0
        y_BxHxTxK = causal_attention(q_BxHxTxK, k_BxGxTxK, v_BxGxTxK, dropout=dropout)
        mixed_BxTxD: Tensor = self.out(y_BxHxTxK.transpose(1, 2).reshape(B, T, D))
        return mixed_BxTxD

    def heads(self, packed_BxTxNxK: Tensor, turns_2xTx1xK2x2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, K] and keys [B, G, T, K], normalised and turned, and values [B, G, T, K]."""
        if not for_a_core(packed_BxTxNxK) and not torch.compiler.is_compiling():
            return self.heads_apart(packed_BxTxNxK, turns_2xTx1xK2x2)
        H, G = self.num_heads, self.kv_heads
        if self.rotary and for_a_core(packed_BxTxNxK) and not isinstance(self.query_norm, LayerNorm):
            gains = [None if norm is None else norm.gain.float() for norm in (self.query_norm, self.key_norm)]
            both: tuple[Tensor, Tensor] = TurnedHeads.apply(  # type: ignore[no-untyped-call]
                packed_BxTxNxK, *gains, turns_2xTx1xK2x2[0], H, NORM_EPSILON
            )
            qk_BxTxHGxK, v_BxTxGxK = both
        else:
            qk_BxTxHGxK, v_BxTxGxK = torch.split(packed_BxTxNxK, [H + G, G], dim=2)
            if self.query_norm is not None and self.key_norm is not None:
                q_BxTxHxK, k_BxTxGxK = torch.split(qk_BxTxHGxK, [H, G], dim=2)
                qk_BxTxHGxK = torch.cat([self.query_norm(q_BxTxHxK), self.key_norm(k_BxTxGxK)], dim=2)
            if self.rotary:
                qk_BxTxHGxK = rotate(qk_BxTxHGxK, turns_2xTx1xK2x2[0])
        q_BxHxTxK, k_BxGxTxK = torch.split(qk_BxTxHGxK.transpose(1, 2), [H, G], dim=1)
        return q_BxHxTxK, k_BxGxTxK, v_BxTxGxK.transpose(1, 2)

    def heads_apart(self, packed_BxTxNxK: Tensor, turns_2xTx1xK2x2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same in few launches."""
        apart: tuple[Tensor, Tensor, Tensor] = HeadsApart.apply(packed_BxTxNxK, self.num_heads)  # type: ignore[no-untyped-call]
        q_BxTxHxK, k_BxTxGxK, v_BxTxGxK = apart
        if self.query_norm is not None and self.key_norm is not None:
            q_BxTxHxK, k_BxTxGxK = self.query_norm(q_BxTxHxK), self.key_norm(k_BxTxGxK)
        if self.rotary:
            turned: tuple[Tensor, Tensor] = TurnedApart.apply(  # type: ignore[no-untyped-call]
                torch.cat([q_BxTxHxK, k_BxTxGxK], dim=2), *turns_2xTx1xK2x2, self.num_heads, v_BxTxGxK.dtype
            )
            q_BxTxHxK, k_BxTxGxK = turned
        return q_BxTxHxK.transpose(1, 2), k_BxTxGxK.transpose(1, 2), v_BxTxGxK.transpose(1, 2)


class MLP(nn.Module):
    """GELU; ReLU squared (So et al. 2021, arXiv 2109.08668); or SwiGLU (Shazeer 2020, arXiv 2002.05202), whose gate is
    the first half of `up`."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.activation = model.activation
        self.up = Linear(model.d_model, (2 if model.activation == "swiglu" else 1) * model.d_ff)
        self.down = Linear(model.d_ff, model.d_model)

    def forward(self, x_BxTxD: Tensor) -> Tensor:
        hidden = self.up(x_BxTxD)
        if self.activation == "swiglu":
            gate_BxTxF, value_BxTxF = hidden.chunk(2, dim=-1)
            active_BxTxF = F.silu(gate_BxTxF) * value_BxTxF
        elif self.activation == "relu2":
            active_BxTxF = F.relu(hidden).square()
        else:
            active_BxTxF = F.gelu(hidden)
        written_BxTxD: Tensor = self.down(active_BxTxF)
        return written_BxTxD


class Block(nn.Module):
    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.attention_norm, self.attention = make_norm(model, model.d_model), Attention(model)
        self.mlp_norm, self.mlp = make_norm(model, model.d_model), MLP(model)
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x_BxTxD: Tensor, turns_2xTx1xK2x2: Tensor) -> Tensor:
        x_BxTxD = x_BxTxD + self.dropout(self.attention(self.attention_norm(x_BxTxD), turns_2xTx1xK2x2))
        written_BxTxD: Tensor = self.dropout(self.mlp(self.mlp_norm(x_BxTxD)))
        return x_BxTxD + written_BxTxD


class Decoder(nn.Module):
    """Token ids [B, T] and targets [B, T] to the summed cross-entropy, in nats.

    The model returns a sum rather than logits so that whoever calls it can add sums over micro-batches and divide
    once by tokens; `token_losses` and `logits` are there for those who want them. `z_loss` is the weight of the square
    of log Z, Z the partition function of a token (Chowdhery et al. 2022, arXiv 2204.02311, section 5): it acts on
    gradients alone and is in no loss that is returned.
    """

    turns_2xTx1xK2x2: Tensor
    sinusoid_TxD: Tensor

    def __init__(self, model: ModelConfig, *, z_loss: float = 0.0) -> None:
        super().__init__()
        self.config, self.z_loss = model, z_loss
        self.embedding = nn.Embedding(model.vocab_size, model.d_model)
        self.positions = nn.Embedding(model.context, model.d_model) if model.positions == "learned" else None
        self.blocks = nn.ModuleList(Block(model) for _ in range(model.num_layers))
        self.norm = make_norm(model, model.d_model)
        self.head = None if model.tied_embeddings else Linear(model.d_model, model.vocab_size)
        self.dropout = nn.Dropout(model.dropout)
        # There and back, the way of the gradients.
        turn = rotation_table(model) if model.positions == "rotary" else torch.empty(0)
        turns = torch.stack([turn, turn * torch.tensor([1.0, -1.0])]) if turn.numel() else turn
        self.register_buffer("turns_2xTx1xK2x2", turns, persistent=False)
        sinusoid = sinusoid_table(model) if model.positions == "sinusoidal" else torch.empty(0)
        self.register_buffer("sinusoid_TxD", sinusoid, persistent=False)

    def features(self, ids_BxT: Tensor) -> Tensor:
        """The last hidden state [B, T, D], after the final norm."""
        length = ids_BxT.shape[1]
        # The residual is in float32, also where the weights are cast for the pass.
        x_BxTxD: Tensor = self.embedding(ids_BxT).float()
        if self.positions is not None:
            x_BxTxD = x_BxTxD + self.positions.weight[:length]
        elif self.sinusoid_TxD.numel():
            x_BxTxD = x_BxTxD + self.sinusoid_TxD[:length]
        x_BxTxD = self.dropout(x_BxTxD)
        for block in self.blocks:
            x_BxTxD = block(x_BxTxD, self.turns_2xTx1xK2x2)
        normed_BxTxD: Tensor = self.norm(x_BxTxD)
        return normed_BxTxD

    @property
    def head_weight(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight

    def head_input(self, ids_BxT: Tensor) -> Tensor:
        """[B, T, D]. muP's multiplier keeps logits of one scale at any width (Yang et al. 2022, Table 8)."""
        return self.features(ids_BxT) / self.config.width_multiplier

    def logits(self, ids_BxT: Tensor) -> Tensor:
        """[B, T, V]."""
        return F.linear(self.head_input(ids_BxT), self.head_weight)

    def token_losses(self, ids_BxT: Tensor, targets_BxT: Tensor) -> Tensor:
        """Losses [B, T] in nats, float32; a target of IGNORED_TARGET gives 0."""
        logits_RxV = self.logits(ids_BxT).float().flatten(0, 1)
        losses_R = F.cross_entropy(logits_RxV, targets_BxT.flatten(), ignore_index=IGNORED_TARGET, reduction="none")
        return losses_R.view_as(targets_BxT)

    def forward(self, ids_BxT: Tensor, targets_BxT: Tensor) -> Tensor:
        """The summed loss in nats, a scalar; every target must be a token."""
        device = ids_BxT.device.type
        # In fp16 the fused gradient would underflow, as it is formed before the loss is scaled.
        if torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16:
            logits_RxV = self.logits(ids_BxT).float().flatten(0, 1)
            loss = F.cross_entropy(logits_RxV, targets_BxT.flatten(), reduction="sum")
            return gradient_of_z_loss(loss, logits_RxV, self.z_loss) if self.z_loss else loss
        with self._weights_cast() as head_weight:
            x_RxD = self.head_input(ids_BxT).flatten(0, 1)
            return linear_cross_entropy(x_RxD, head_weight, targets_BxT.flatten(), self.z_loss)

    @contextmanager
    def _weights_cast(self) -> Iterator[Tensor]:
        """Every matrix in the type that `forms.products_in` asks for, all in one launch; yields the head's."""
        dtype = product_dtype()
        if dtype is None:
            yield self.head_weight
            return
        linears = [module for module in self.blocks.modules() if isinstance(module, Linear)]
        weights = [linear.weight for linear in linears]
        *cast, head_weight = CastTogether.apply(dtype, *weights, self.head_weight)  # type: ignore[no-untyped-call]
        for linear, weight in zip(linears, cast, strict=True):
            linear.cast = weight
        try:
            yield head_weight
        finally:
            for linear in linears:
                linear.cast = None


def initialise(decoder: Decoder, seed: int) -> None:
    """Fill every parameter from one seeded CPU generator, so that a seed gives the same model on any device.

    Hidden matrices: N(0, 1/fan_in), the muP scaling in width; those that write to the residual stream are
    divided by sqrt(2 layers) (Radford et al. 2019, section 2.3). Embeddings: N(0, EMBEDDING_STD). An untied head:
    N(0, 1/width), the width being muP's base width where there is one, as its multiplier does the rest.
    """
    generator = torch.Generator().manual_seed(seed)
    residual_scale = 1.0 / math.sqrt(2 * decoder.config.num_layers)

    def fill(weight: Tensor, std: float) -> None:
        weight.copy_(torch.empty(weight.shape).normal_(0.0, std, generator=generator))

    with torch.no_grad():
        fill(decoder.embedding.weight, EMBEDDING_STD)
        if decoder.positions is not None:
            fill(decoder.positions.weight, EMBEDDING_STD)
        if decoder.head is not None:
            fill(decoder.head.weight, 1.0 / math.sqrt(decoder.config.mup_base_width or decoder.config.d_model))
        for name, weight in decoder.blocks.named_parameters():
            if weight.ndim == 2:
                writes_residual = name.endswith(("attention.out.weight", "mlp.down.weight"))
                fill(weight, (residual_scale if writes_residual else 1.0) / math.sqrt(weight.shape[1]))
            else:
                weight.fill_(1.0)
        decoder.norm.gain.fill_(1.0)

"""What a run will take of a GPU's memory, before any like it was measured.

Counted from the tensors that the passes keep (a test holds it to those that they really keep), not from the allocator's
ways with them: that is the slack of whoever packs runs by it.
"""

from scaling.model.config import ModelConfig
from scaling.model.counting import count_parameters
from scaling.specs import RunSpec

FLOAT, HALF = 4, 2
# Weights, gradients and AdamW's two moments, all float32.
STATE_BYTES_PER_PARAM = 16
# As `training.evaluate` and `model.cross_entropy` have them for a GPU.
EVALUATED_TOKENS, EVALUATED_LOGITS, KEPT_LOGITS = 65536, 1 << 27, (1 << 30) // 6
WORKSPACE_BYTES = 128 << 20


def run_bytes(run: RunSpec, precision: str, micro_tokens: int | None = None) -> int:
    """Of one process with all of a run, in training and in evaluation; `micro_tokens` None: the whole batch."""
    count, model = count_parameters(run.model), run.model
    half = precision in ("bf16", "fp16")
    state = STATE_BYTES_PER_PARAM * count.total + (2 * HALF * (count.matrices + count.embedding) if half else 0)
    tokens = min(micro_tokens or run.optimizer.batch_tokens, run.optimizer.batch_tokens)
    training = tokens * kept_bytes_per_token(model, half=half) + logit_bytes(tokens, model, half=half)
    evaluated = min(EVALUATED_TOKENS, EVALUATED_LOGITS // model.vocab_size)
    evaluation = evaluated * FLOAT * (2 * model.vocab_size + 8 * model.d_model + 2 * model.d_ff)
    return state + max(training, evaluation) + WORKSPACE_BYTES


def kept_bytes_per_token(model: ModelConfig, *, half: bool) -> int:
    """What forward passes of all layers keep for the backward pass, for each token."""
    product = HALF if half else FLOAT
    d, heads = model.d_model, (model.num_heads + model.kv_heads) * model.head_dim
    values = model.kv_heads * model.head_dim
    # Both norms' inputs and, cast, the products' inputs, which are the norms' outputs.
    norms = 2 * d * (FLOAT + product)
    # Attention: what the product made of queries, keys and values, of which the values are a part; queries and keys as
    # they are turned, and in float32 before their norms, where that is another copy; its own output.
    attention = product * (heads + values + heads + d) + (FLOAT * heads if half and model.qk_norm else 0)
    # Before and after the activation; a gate doubles both.
    mlp = product * (4 if model.activation.endswith("glu") else 2) * model.d_ff
    return model.num_layers * (norms + attention + mlp) + 2 * FLOAT * d


def logit_bytes(tokens: int, model: ModelConfig, *, half: bool) -> int:
    """Of the head's loss: all logits, in both types and their gradient, where they are few, else a chunk of them."""
    product = HALF if half else FLOAT
    logits = min(
        tokens * model.vocab_size, EVALUATED_LOGITS if tokens * model.vocab_size > KEPT_LOGITS else KEPT_LOGITS
    )
    return logits * (product + 2 * FLOAT)

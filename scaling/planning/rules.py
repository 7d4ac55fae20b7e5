"""From a size to the numbers of its run. Each rule is a function of N, so that budgets share a trunk; where a schedule
belongs to one budget, the recipe may have it depend on D as well."""

import math

from scaling.model.config import ModelConfig
from scaling.model.counting import count_parameters
from scaling.planning.config import ModelOptions, RecipeConfig, SizeConfig
from scaling.specs import Evaluations, Optimizer, Schedule


def model_config(size: SizeConfig, options: ModelOptions, vocab_size: int) -> ModelConfig:
    """Raises ValueError, naming the size, for an impossible shape."""
    try:
        return ModelConfig(
            num_layers=size.num_layers,
            d_model=size.d_model,
            num_heads=size.num_heads,
            vocab_size=vocab_size,
            context=options.context,
            d_ff=round(options.mlp_ratio * size.d_model),
            positions=options.positions,
            rope_base=options.rope_base,
            norm=options.norm,
            activation=options.activation,
            dropout=options.dropout,
            tied_embeddings=options.tied_embeddings,
            qk_norm=options.qk_norm,
            mup_base_width=options.mup_base_width,
            num_kv_heads=options.num_kv_heads if size.num_kv_heads is None else size.num_kv_heads,
        )
    except ValueError as error:
        raise ValueError(f"size {size.name}: {error}") from None


def batch_tokens(
    recipe: RecipeConfig, model: ModelConfig, tokens: float | None = None, *, rounded: bool = False
) -> int:
    """Tokens in a step, a whole number of contexts: a power of N, as in Porian et al. 2024 (arXiv 2406.19146), and of
    the run's tokens, as in Zhang et al. 2024 (arXiv 2410.21676), where the recipe has an exponent for that. Then it is
    a power of two of contexts, and divides tokens that were `rounded` to whole batches before."""
    growth: float = (count_parameters(model).total / recipe.reference_params) ** recipe.batch_exponent
    wanted = recipe.batch_tokens * growth / model.context
    if recipe.batch_tokens_exponent and tokens is not None:
        wanted *= (tokens / recipe.reference_tokens) ** recipe.batch_tokens_exponent
        contexts = 1 << max(0, round(math.log2(wanted)))
        # The rounding may have moved the budget over the edge between two powers.
        while rounded and contexts > 1 and tokens % (contexts * model.context):
            contexts //= 2
        return contexts * model.context
    return max(1, round(wanted)) * model.context


def warmup_steps(recipe: RecipeConfig, model: ModelConfig, batch: int) -> int:
    """A share of N in tokens (Porian et al. 2024 take all of N), but never fewer than a minimum of steps."""
    by_params = recipe.warmup_params_share * count_parameters(model).total / batch
    return max(recipe.warmup_min_steps, round(by_params))


def optimizer(recipe: RecipeConfig, model: ModelConfig, tokens: float | None = None) -> Optimizer:
    """Peak learning rates under muP: embeddings and vectors keep theirs at every width, hidden matrices fall as 1/width
    under AdamW (Yang et al. 2022, arXiv 2203.03466, Table 8) and keep theirs under Muon: its step has the spectral norm
    sqrt(max(1, fan_out / fan_in)), which is what muP asks of a step (Yang et al. 2023, arXiv 2310.17813).

    With `tokens`, those of the run, all rates may fall with them (Bjorck et al. 2024, arXiv 2409.19913), and weight
    decay may be set by AdamW's timescale, the share of the run over which an update is forgotten, 1 / (rate decay
    steps) (Wang & Aitchison 2024, arXiv 2405.13698; Bergsma et al. 2025, arXiv 2505.13738).
    """
    growth: float = (count_parameters(model).total / recipe.reference_params) ** recipe.lr_exponent
    if tokens is not None:
        growth *= (tokens / recipe.reference_tokens) ** recipe.lr_tokens_exponent
    batch = batch_tokens(recipe, model, tokens, rounded=True)
    matrix_width = 1.0 if recipe.optimizer == "muon" else model.width_multiplier
    matrix_lr, decay = recipe.matrix_lr * growth / matrix_width, recipe.weight_decay
    if recipe.weight_decay_timescale is not None and tokens is not None:
        decay = batch / (recipe.weight_decay_timescale * tokens * matrix_lr)
    return Optimizer(
        batch_tokens=batch,
        matrix_lr=matrix_lr,
        embedding_lr=recipe.embedding_lr * growth,
        vector_lr=recipe.vector_lr * growth,
        beta1=recipe.beta1,
        beta2=recipe.beta2,
        epsilon=recipe.epsilon,
        weight_decay=decay,
        grad_clip=recipe.grad_clip,
        kind=recipe.optimizer,
        momentum=recipe.momentum if recipe.optimizer == "muon" else Optimizer.momentum,
        z_loss=recipe.z_loss,
    )


def schedule(recipe: RecipeConfig, model: ModelConfig, batch: int) -> Schedule:
    return Schedule(
        kind=recipe.schedule,
        warmup_steps=warmup_steps(recipe, model, batch),
        cooldown_share=recipe.cooldown_share,
        final_lr_share=recipe.final_lr_share,
    )


def evaluations(recipe: RecipeConfig, batch: int) -> Evaluations:
    """Every so many tokens, in whole steps."""
    tokens = recipe.evaluate_every_tokens
    return Evaluations(
        every_steps=None if tokens is None else max(1, round(tokens / batch)),
        patience=recipe.early_stop_patience,
        min_delta_nats=recipe.early_stop_min_delta_nats,
        most_tokens=recipe.evaluate_most_tokens,
    )

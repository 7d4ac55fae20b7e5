"""A grid and a recipe to vary."""

from dataclasses import replace
from typing import Any

from scaling.planning.config import GridConfig, ModelOptions, RecipeConfig, SizeConfig, TimeModel
from scaling.planning.corpus_facts import CorpusFacts
from scaling.planning.cost import Cost
from scaling.planning.plan import make_plan
from scaling.specs import Plan

OPTIONS = ModelOptions(
    context=64,
    positions="rotary",
    rope_base=30.0,
    norm="rmsnorm",
    activation="gelu",
    mlp_ratio=4.0,
    dropout=0.0,
    tied_embeddings=True,
    qk_norm=False,
    mup_base_width=64,
)
RECIPE = RecipeConfig(
    schedule="wsd",
    cooldown_share=0.2,
    final_lr_share=0.0,
    matrix_lr=0.004,
    embedding_lr=0.016,
    vector_lr=0.016,
    batch_tokens=512,
    batch_exponent=0.0,
    reference_params=1e5,
    warmup_params_share=0.02,
    warmup_min_steps=20,
    beta1=0.9,
    beta2=0.99,
    epsilon=1e-10,
    weight_decay=0.1,
    grad_clip=1.0,
)
SIZES = (
    SizeConfig("14k", 2, 24, 2),
    SizeConfig("38k", 2, 40, 4),
    SizeConfig("98k", 2, 64, 4),
    SizeConfig("332k", 3, 96, 6),
)
GRID = GridConfig(kind="tokens", budgets=(3e5, 6e5, 1.2e6, 2.4e6), sizes=SIZES)
CORPUS = CorpusFacts(fingerprint="corpus", vocab_size=256, train_tokens=10_000_000, unique_tokens=None)
COST = Cost(TimeModel(seconds_per_run=2.0, seconds_per_step=0.002, seconds_per_layer_step=0.001, flops_per_second=5e10))


def plan(
    *,
    grid: dict[str, Any] | None = None,
    recipe: dict[str, Any] | None = None,
    corpus: CorpusFacts = CORPUS,
    **options: Any,
) -> Plan:
    """The plan of the grid above with some fields replaced."""
    return make_plan(
        "study",
        grid=replace(GRID, **(grid or {})),
        recipe=replace(RECIPE, **(recipe or {})),
        options=replace(OPTIONS, **options),
        corpus=corpus,
        cost=COST,
    )

"""A recipe for tests of other people's trainers, which take a few of its numbers."""

from scaling.planning.config import RecipeConfig

PLAIN = RecipeConfig(
    schedule="own", cooldown_share=0.2, final_lr_share=0.0, matrix_lr=0.003, embedding_lr=0.003, vector_lr=0.003,
    batch_tokens=64, batch_exponent=0.0, reference_params=1e5, warmup_params_share=0.0, warmup_min_steps=0, beta1=0.9,
    beta2=0.99, epsilon=1e-10, weight_decay=0.0, grad_clip=1.0,
)  # fmt: skip

"""What is counted: C without the head or attention, N without embeddings, budgets that are none."""

from collections.abc import Callable, Iterator

from scaling.checks.evidence import PlannedStudy
from scaling.findings import Finding
from scaling.model.config import ModelConfig
from scaling.model.counting import count_parameters, count_training_flops

SHARE_LEFT_OUT = 0.10
COUNTED = ("total", "non_embedding")  # conventions under which C is counted product by product
WITHOUT_EMBEDDINGS = ("non_embedding", "kaplan")


def head_flops(study: PlannedStudy) -> Iterator[Finding]:
    """C = 6 N with the N of Kaplan et al. knows nothing of the output layer."""
    if study.convention != "kaplan":
        return
    size, share = _largest_share(study, lambda model: count_training_flops(model).head_share)
    if share > SHARE_LEFT_OUT:
        yield Finding(
            "head_flops",
            "refuse",
            f"fit.convention=kaplan leaves the output layer out of C, which is {share:.0%} of the training FLOPs of "
            f"{size} (refuse above {SHARE_LEFT_OUT:.0%}).",
            "Take fit.convention=total, which counts every product.",
            "Porian et al. 2024, arXiv 2406.19146: one of three causes of Kaplan's exponent",
        )


def attention_flops(study: PlannedStudy) -> Iterator[Finding]:
    """C = 6 N knows nothing of the products of queries, keys and values, which grow with the context."""
    if study.convention in COUNTED:
        return

    def share(model: ModelConfig) -> float:
        flops = count_training_flops(model)
        return flops.attention / flops.total

    size, most = _largest_share(study, share)
    if most > SHARE_LEFT_OUT:
        yield Finding(
            "attention_flops",
            "warn",
            f"fit.convention={study.convention} takes C = 6 N D, without attention over the context, which is "
            f"{most:.0%} of the training FLOPs of {size} (warn above {SHARE_LEFT_OUT:.0%}).",
            "Take fit.convention=total, which counts every product.",
            "Chowdhery et al. 2022, arXiv 2204.02311, appendix B: the FLOPs of attention",
        )


def embedding_params(study: PlannedStudy) -> Iterator[Finding]:
    """An N without embeddings bends the law of small models, whose embeddings are most of them."""
    if study.convention not in WITHOUT_EMBEDDINGS:
        return

    def share(model: ModelConfig) -> float:
        params = count_parameters(model)
        return 1.0 - params.non_embedding / params.total

    size, most = _largest_share(study, share)
    if most > SHARE_LEFT_OUT:
        yield Finding(
            "embedding_params",
            "warn",
            f"fit.convention={study.convention} leaves embeddings out of N, which are {most:.0%} of the parameters of "
            f"{size} (warn above {SHARE_LEFT_OUT:.0%}).",
            "Take fit.convention=total; the report shows the answer under every convention.",
            "Pearce & Song 2024, arXiv 2406.12907: a true .45 for the exponent of the best N becomes .66 and more",
        )


def _largest_share(study: PlannedStudy, share: Callable[[ModelConfig], float]) -> tuple[str, float]:
    """The size at which a share is largest."""
    shares = {run.size: share(run.model) for run in study.plan.runs}
    return max(shares.items(), key=lambda item: item[1])

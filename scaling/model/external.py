"""A model that another program builds: what is said of it, in the place of a decoder's shape."""

from dataclasses import dataclass, field

Scalar = int | float | str | bool
# Marks what is said of a model and changes nothing of its training: it is no part of a run's id.
ONLY_TOLD = {"only_told": True}


@dataclass(frozen=True)
class ExternalModel:
    """`size` has the keys of its entry in grid.sizes; N and the training FLOPs for each token are as described before
    anything runs, `non_embedding_params` None where nobody tells. A run's steps are a multiple of `steps_multiple`."""

    size: dict[str, Scalar]
    params: int = field(metadata=ONLY_TOLD)
    flops_per_token: int = field(metadata=ONLY_TOLD)
    non_embedding_params: int | None = field(default=None, metadata=ONLY_TOLD)
    steps_multiple: int = 1

    def __post_init__(self) -> None:
        for name in ("params", "flops_per_token", "steps_multiple"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")

    def __hash__(self) -> int:
        return hash((tuple(self.size.items()), self.params, self.flops_per_token))

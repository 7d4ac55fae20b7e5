"""What a person asks of a search: the proxy, the space, the sampler, and how the answer is held against noise."""

from dataclasses import dataclass
from typing import Literal

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "median", "hyperband"]


@dataclass(frozen=True)
class Dimension:
    """A number of the recipe to search: `choices`, or all from `low` to `high`, on a logarithmic scale with `log`, of
    which a grid takes `grid_points` at equal distances."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    grid_points: int = 3
    choices: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("a dimension of the space has either choices, or low and high")
        if self.choices is not None:
            if not self.choices:
                raise ValueError("a dimension of the space has no choices; give at least one")
            return
        assert self.low is not None
        assert self.high is not None
        if not self.low < self.high:
            raise ValueError(
                f"a dimension of the space has low {self.low} and high {self.high}; low must be below high"
            )
        if self.log and self.low <= 0:
            raise ValueError(f"a dimension of the space is logarithmic and has low {self.low}; it must be positive")


@dataclass(frozen=True)
class TuneOptions:
    """
    size, tokens       the proxy: a size of the grid and its budget in tokens
    space              numbers of the recipe by their names there; `lr_multiple` multiplies its three rates alike
    trials             how many recipes are tried; a grid tries each of its own
    evaluations        on the way of a trial, for the pruner
    finalists, seeds   so many of the best and the default recipe are trained anew with seeds of which the search knew
                       nothing, and compared seed by seed
    corners            instead of a search: the learning rates times `multiples` at the corners of the study's grid
    """

    size: str
    tokens: float
    space: dict[str, Dimension]
    sampler: Sampler
    pruner: Pruner
    trials: int
    evaluations: int
    finalists: int
    seeds: tuple[int, ...]
    sampler_seed: int
    corners: bool
    multiples: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.space and not self.corners:
            raise ValueError("space is empty; name at least one number of the recipe with low and high, or choices")
        if len(set(self.seeds)) < 2:
            raise ValueError(
                f"seeds is {list(self.seeds)}; at least two different ones are needed to tell a better recipe from luck"
            )
        if 1.0 in self.multiples or not self.multiples:
            raise ValueError(f"multiples is {list(self.multiples)}; give some other than 1, such as [0.5, 2.0]")

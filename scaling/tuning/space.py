"""From the space to recipes and back. A recipe is any frozen dataclass of numbers."""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from scaling.names import nearest
from scaling.tuning.config import Dimension

Recipe = TypeVar("Recipe")

LR_MULTIPLE = "lr_multiple"
LEARNING_RATES = ("matrix_lr", "embedding_lr", "vector_lr")
NUMBERS = (int, float, int | None, float | None)
Values = Mapping[str, float]


def require_known(recipe: object, names: Collection[str]) -> None:
    """Raises ValueError for a name that is no number of the recipe."""
    known = {LR_MULTIPLE, *_numbers(recipe)}
    for name in sorted(set(names) - known):
        raise ValueError(f"space has {name!r}, which is no number of the recipe: {nearest(name, known)}")


def _numbers(recipe: object) -> dict[str, Any]:
    """Types of the recipe's numbers by name."""
    return {f.name: f.type for f in fields(recipe) if f.type in NUMBERS}  # type: ignore[arg-type]


def with_values(recipe: Recipe, values: Values) -> Recipe:
    """`recipe` with the numbers of one point of the space, whose ends are within what a recipe may have (`bounds`)."""
    numbers = _numbers(recipe)
    changes: dict[str, Any] = {
        name: round(value) if numbers[name] in (int, int | None) else float(value)
        for name, value in values.items()
        if name != LR_MULTIPLE
    }
    if LR_MULTIPLE in values:
        for rate in LEARNING_RATES:
            changes[rate] = changes.get(rate, getattr(recipe, rate)) * values[LR_MULTIPLE]
    return replace(recipe, **changes)  # type: ignore[type-var]


def default_values(recipe: object, space: Mapping[str, Dimension]) -> dict[str, float] | None:
    """The recipe's own point of the space; None where the space does not hold it."""
    values = {name: 1.0 if name == LR_MULTIPLE else float(getattr(recipe, name)) for name in space}
    return values if all(_holds(space[name], value) for name, value in values.items()) else None


def _holds(dimension: Dimension, value: float) -> bool:
    if dimension.choices is not None:
        return value in dimension.choices
    assert dimension.low is not None
    assert dimension.high is not None
    return dimension.low <= value <= dimension.high


def grid(space: Mapping[str, Dimension]) -> Iterator[dict[str, float]]:
    """Every combination of each dimension's choices, or of its points at equal distances."""
    axes = [[(name, value) for value in _points(dimension)] for name, dimension in space.items()]
    for point in itertools.product(*axes):
        yield dict(point)


def _points(dimension: Dimension) -> list[float]:
    if dimension.choices is not None:
        return list(dimension.choices)
    assert dimension.low is not None
    assert dimension.high is not None
    low, high, count = dimension.low, dimension.high, dimension.grid_points
    if dimension.log:
        low, high = math.log(low), math.log(high)
    inner = [low + (high - low) * i / (count - 1) for i in range(1, count - 1)]
    return [dimension.low, *(math.exp(x) if dimension.log else x for x in inner), dimension.high]

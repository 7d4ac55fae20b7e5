"""Every number of every config has a bound, and what lies beyond it is refused in one sentence before anything runs."""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from scaling.analysis.compare import CompareOptions
from scaling.analysis.config import TableOptions
from scaling.analysis.recommend import RecommendOptions
from scaling.bounds import BOUNDS, Bound, pattern, require_within
from scaling.config import ConfigError, StudyConfig, study_config, table_options, tune_config
from scaling.tuning.config import TuneOptions
from scaling.values import MOST_SHOWN, ValueMismatch
from tests.test_configs import load_root

ROOTS = (StudyConfig, TableOptions, CompareOptions, RecommendOptions, TuneOptions)


def numeric_keys(kind: Any, where: str = "") -> Iterator[str]:
    """The path of every number that a schema has, places in lists left out."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType) and {str, bool} <= set(arguments):
        return  # a word of another program, which may be a number
    if origin in (typing.Union, types.UnionType):
        for one in arguments:
            yield from numeric_keys(one, where)
    elif origin is tuple:
        for one in set(arguments) - {Ellipsis}:
            yield from numeric_keys(one, f"{where}[]")
    elif origin is dict:
        yield from numeric_keys(arguments[1], f"{where}.any")
    elif dataclasses.is_dataclass(kind):
        for name, hint in typing.get_type_hints(kind).items():
            yield from numeric_keys(hint, f"{where}.{name}".lstrip("."))
    elif kind in (int, float):
        yield where


KEYS = sorted({pattern(key) for root in ROOTS for key in numeric_keys(root)})


def test_every_number_has_a_bound_and_every_bound_a_number() -> None:
    assert set(KEYS) == set(BOUNDS)


def placed(key: str, value: object) -> dict[str, object]:
    """A plain config that holds a value at a key and nothing else."""
    plain: object = value
    key = {"space.*": "space.*.low"}.get(key, key)
    for part in reversed(re.findall(r"\[\]|[^.\[\]]+", key.replace("*", "any"))):
        plain = [plain] if part == "[]" else {part: plain}
    assert isinstance(plain, dict)
    return plain


def beyond(bound: Bound) -> list[object]:
    """Values on the wrong side of either end, and what is no number of anything."""
    below = [bound.low] if bound.above else [math.nextafter(bound.low, -math.inf), bound.low - 1 - abs(bound.low)]
    above = [bound.high] if bound.below else [bound.high * 1.01 + 1e-300]
    return [*below, *above, math.nan, math.inf, -math.inf, -1e300, 1e300, 10**400, -(10**400), "nan", "1e400", "-inf"]


@pytest.mark.parametrize("key", KEYS)
def test_what_is_beyond_is_named_with_its_constraint_and_an_example(key: str) -> None:
    bound = BOUNDS[key]
    for value in beyond(bound):
        with pytest.raises(ValueMismatch) as caught:
            require_within(placed(key, value))
        words = str(caught.value)
        assert words.startswith(key.partition("[")[0].partition(".*")[0])
        assert bound.words in words
        assert f"for example {bound.example}" in words
        assert len(words) < 2 * MOST_SHOWN + 100


@pytest.mark.parametrize("key", KEYS)
def test_what_is_usual_and_what_is_no_number_is_not_its_matter(key: str) -> None:
    for value in (float(BOUNDS[key].example), BOUNDS[key].example, None, True, "auto", [], {}):
        require_within(placed(key, value))


def test_a_search_tries_what_a_recipe_may_have() -> None:
    for override, words in (
        ("space.beta2.choices=[0.9, 1.5]", r"space.beta2.choices\[1\] is 1.5; it must be at least 0 and below 1"),
        ("space.matrix_lr.low=0", "space.matrix_lr.low is 0; it must be at least 1e-12"),
        ("+space.lr_multiple={low: -1, high: 1}", "space.lr_multiple.low is -1; it must be at least 1e-12"),
    ):
        with pytest.raises(ConfigError, match=words):
            tune_config(load_root("tune", override))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("recipe.matrix_lr=nan", "matrix_lr is nan; it must be at least 1e-12 and at most 1,000, for example 0.003"),
        ("grid.budgets=[1e400]", r"grid.budgets\[0\] is '?(1e400|inf)'?; it must be at least 1e-06 and at most 1e\+35"),
        ("grid.seed=-1", "grid.seed is -1; it must be at least 0 and at most 4"),
        ("runtime.workers=1000000", "runtime.workers is 1000000; it must be at least 1 and at most 4,096"),
        ("recipe.beta1=true", "recipe.beta1 is True; it must be a number"),
        ("fit.bootstrap=1e9", "fit.bootstrap is '?1(e9|000000000.0)'?; it must be at least 0 and at most 30,000"),
        ("grid.sizes.0.d_model=1e30", r"grid.sizes\[0\].d_model is "),
    ],
)  # fmt: skip
def test_a_study_is_refused(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        study_config(load_root("sweep", override))


def test_a_table_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"level is 1\.0; it must be above 0 and below 1, for example 0\.95"):
        table_options(load_root("fit", "source=x.csv", "out=y", "level=1.0"))

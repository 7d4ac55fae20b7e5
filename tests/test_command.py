"""What is typed is what is read: text is quoted for Hydra, and what it cannot read is told with its value."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from scaling.analysis.compare import CompareOptions
from scaling.analysis.config import TableOptions
from scaling.analysis.recommend import RecommendOptions
from scaling.command import LISTS_OF_TEXT, TEXTS, as_text, explain
from scaling.config import ConfigError, StudyConfig
from scaling.tuning.config import TuneOptions

AWKWARD = [
    "a=b", "größe", "a, b", "x[1]", "two words", "it's", '"', "\\'", "back\\", "a{b}", "50%", "(x)", "flops>1e20", "#",
    "@:é",
]  # fmt: skip
OF_NUMBERS = {"force", "sinks"}  # lists of names that have no such letters


def text_keys(kind: Any, at: str = "") -> Iterator[tuple[str, bool]]:
    """Every key of a config that holds text, and whether it is a list of it."""
    for name, hint in typing.get_type_hints(kind).items():
        union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        for kind_ in typing.get_args(hint) if union else (hint,):
            if dataclasses.is_dataclass(kind_):
                yield from text_keys(kind_, f"{at}{name}.")
            elif kind_ is str:
                yield f"{at}{name}", False
            elif kind_ == tuple[str, ...]:
                yield f"{at}{name}", True


@pytest.mark.parametrize("kind", [StudyConfig, TableOptions, RecommendOptions, CompareOptions, TuneOptions])
def test_every_key_of_text_is_read_as_it_is_typed(kind: type) -> None:
    found = {(key, listed) for key, listed in text_keys(kind) if not key.startswith("columns.")}
    assert {key for key, listed in found if not listed} <= TEXTS
    assert {key for key, listed in found if listed and "." not in key} - OF_NUMBERS <= LISTS_OF_TEXT


@pytest.mark.parametrize("text", AWKWARD)
@pytest.mark.parametrize("key", ["source", "runs", "columns.params", "data.source.path"])
def test_hydra_gets_the_text_that_was_typed(key: str, text: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([as_text(f"{key}={text}")])
    assert override.key_or_group == key
    assert override.value() == text


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("ignore=[größe, lr]", ["größe", "lr"]),
        ("ignore=tokenizer", ["tokenizer"]),
        ("ignore=[]", []),
        ('ignore=["a, b",c=d]', ["a, b", "c=d"]),
        ("study='quoted already'", "quoted already"),
        ("out=null", None),
        ("grid.seed=1", 1),
    ],
)
def test_lists_quotes_and_null(typed: str, value: object) -> None:
    (override,) = OverridesParser.create().parse_overrides([as_text(typed)])
    assert override.value() == value


@pytest.mark.parametrize("typed", ["grid.seed=ä", "model.context=1=2", "level=[1,", "data='x"])
def test_what_cannot_be_read_is_told_with_its_value(typed: str) -> None:
    with pytest.raises(OverrideParseException) as raised:
        OverridesParser.create().parse_overrides([as_text(typed)])
    key, _, value = typed.partition("=")
    assert explain(raised.value).startswith(f"{key} is {value!r}, which cannot be read")


def test_a_giant_of_a_value_leaves_a_message_that_is_read() -> None:
    words = explain(ConfigError(f"columns.flops_unit is {'x' * 100_000!r}; it must be one of GF, TF: correct it"))
    assert words.startswith("columns.flops_unit is 'xxx")
    assert words.endswith("it must be one of GF, TF: correct it")
    assert len(words) < 2_000

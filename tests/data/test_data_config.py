"""Configurations that make no sense are refused in words; those that ship are sound; planning starts at once."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling.data.config import DataConfig, DataError, SourceConfig, TokenizerConfig, vocab_size

REPOSITORY = Path(__file__).parents[2]
LOCAL: dict[str, Any] = {"kind": "local", "path": "text"}
HUB: dict[str, Any] = {"kind": "hub", "path": "a/b", "revision": "c"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"kind": "s3"},
            "kind='s3' is not one of botocore, api_docs, wiki_intros, python_sources, synthetic, hub, local",
        ),
        ({"kind": "botocore"}, "data.source.version is missing"),
        ({"kind": "wiki_intros"}, "data.source.version is missing"),
        ({"kind": "api_docs", "version": "1"}, "data.source.google_version is missing"),
        ({"kind": "local"}, "data.source.path is missing"),
        ({"kind": "hub", "revision": "c"}, "data.source.path is missing"),
        ({"kind": "hub", "path": "a/b"}, "data.source.revision is missing"),
        (LOCAL | {"document_unit": "page"}, "data.source.document_unit='page' is not one of"),
        (LOCAL | {"validation_split": "dev"}, "belongs to kind hub"),
        (HUB | {"validation_path": "dev"}, "belongs to kind local"),
    ],
)
def test_a_source_that_makes_no_sense(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SourceConfig(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "words"}, "is not one of bytes, bpe, file, hub"),
        ({"kind": "bytes", "vocab_size": 512}, "does not go with kind bytes"),
        ({"kind": "bpe"}, "vocab_size=None is too small"),
        ({"kind": "bpe", "vocab_size": 256}, "at least 257"),
        ({"kind": "file"}, "data.tokenizer.path is missing"),
        ({"kind": "file", "path": "x", "vocab_size": 10}, "does not go with kind file"),
        ({"kind": "hub", "revision": "x"}, "data.tokenizer.path is missing"),
        ({"kind": "hub", "path": "a/b"}, "data.tokenizer.revision is missing"),
    ],
)
def test_a_tokenizer_that_makes_no_sense(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TokenizerConfig(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "a/b"}, "becomes a folder name"),
        ({"validation_fraction": None}, "one is needed"),
        ({"source": SourceConfig(**HUB, validation_split="validation")}, "exclude each other"),
        ({"validation_fraction": 0.0}, "must lie between 0 and 1"),
        ({"unique_tokens": 1}, "at least 2"),
        ({"near_duplicate_similarity": 1.0}, "must be at least 0.1 and below 1"),
    ],
)
def test_a_corpus_that_makes_no_sense(wrong: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {
        "name": "x",
        "source": SourceConfig(**LOCAL),
        "tokenizer": TokenizerConfig(),
        "validation_fraction": 0.1,
    }
    with pytest.raises(DataError, match=message):
        DataConfig(licence="", description="", **(fields | wrong))


@pytest.mark.parametrize("name", sorted(path.stem for path in (REPOSITORY / "configs" / "data").glob("*.yaml")))
def test_what_ships_is_sound(name: str, shipped: Callable[[str], DataConfig]) -> None:
    config = shipped(name)
    assert config.name == name
    assert config.licence
    assert 256 <= vocab_size(config.tokenizer) <= 1024


def test_planning_can_import_it_at_once() -> None:
    program = (
        "import sys; before = set(sys.modules); import scaling.data.config, scaling.data.fingerprint; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules.keys() - before}))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    imported = set(result.stdout.split())
    assert not imported & {"torch", "numpy", "datasets", "tokenizers", "botocore", "omegaconf", "hydra", "pyarrow"}

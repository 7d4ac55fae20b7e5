"""The default corpus: what the docs say of it is so."""

from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from scaling.data.config import DataConfig, DataError, SourceConfig
from scaling.data.corpus import Corpus
from scaling.data.prepare import prepare


def test_the_default_corpus(tmp_path: Path, shipped: Callable[[str], DataConfig]) -> None:
    manifest = Corpus.open(prepare(shipped("aws_docs"), tmp_path)).manifest
    # Another digest means other text: a new release, or an extraction that changed (then raise FORMAT_VERSION).
    assert manifest.source_sha256 == "86a0f124e8c4a7dee9793828c5a020211a694a75ccf8ee6f0dc7d3571ce353e1"
    assert manifest.train.documents + manifest.validation.documents == 438
    assert manifest.validation.documents == 11
    assert 200_000 <= manifest.validation.bytes <= 300_000
    assert 27_000_000 <= manifest.train.bytes <= 28_000_000
    assert "ec2" not in manifest.validation_keys
    assert manifest.overlap.share is not None
    assert manifest.overlap.share < 0.02  # since no line is ever repeated


def test_another_release_is_refused() -> None:
    from scaling.data.sources import open_source

    with pytest.raises(DataError, match=r"pip install botocore==0\.0\.1, or set data\.source\.version="):
        open_source(replace(SourceConfig("botocore", version="0.0.1")))


def test_without_its_package_a_line_says_what_to_install_or_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    from scaling.data.sources import open_source

    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    words = r"pip install botocore==1\.44\.5 \(or scaling-sweep\[demo\]\).*data=local"
    with pytest.raises(DataError, match=words) as told:
        open_source(SourceConfig("botocore", version="1.44.5"))
    assert "\n" not in str(told.value)

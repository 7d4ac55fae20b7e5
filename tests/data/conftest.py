"""Small corpora on disk, and Python run apart with an environment of its own."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig
from scaling.values import from_plain

REPOSITORY = Path(__file__).parents[2]
WORDS = ("model", "law", "tokens", "loss", "falls", "with", "more", "data", "than", "before")


@pytest.fixture
def texts() -> list[str]:
    """Two hundred different documents of a few dozen words."""
    source = random.Random(0)
    return [f"document {number} " + " ".join(source.choices(WORDS, k=40)) + "\n" for number in range(200)]


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    def write(texts: Sequence[str], name: str = "texts.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        return path

    return write


@pytest.fixture
def local_config() -> Callable[..., DataConfig]:
    """A configuration over local files; keywords override fields of DataConfig."""

    def make(path: Path, source: dict[str, Any] | None = None, **overrides: Any) -> DataConfig:
        fields: dict[str, Any] = {
            "name": "tiny",
            "source": SourceConfig(kind="local", path=str(path), **(source or {})),
            "tokenizer": TokenizerConfig(),
            "licence": "CC0",
            "description": "made by the test",
            "validation_fraction": 0.1,
        }
        return DataConfig(**(fields | overrides))

    return make


@pytest.fixture
def python() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a program in a fresh interpreter; keywords are environment variables."""

    def run(program: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            capture_output=True,
            text=True,
            timeout=600,  # ends what hangs; how fast the machine is decides nothing
            check=False,
        )

    return run


@pytest.fixture
def shipped() -> Callable[[str], DataConfig]:
    """A configuration as `configs/data/NAME.yaml` has it."""

    def load(name: str) -> DataConfig:
        content = OmegaConf.to_container(OmegaConf.load(REPOSITORY / "configs" / "data" / f"{name}.yaml"))
        return from_plain(DataConfig, content, name)

    return load

"""Tokenizers by their name on the hub: served, cached, offline, absent, and as a folder on disk."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling.data.config import DataConfig, DataError, TokenizerConfig, vocab_size
from scaling.data.corpus import Corpus
from scaling.data.fingerprint import fingerprint
from scaling.data.prepare import prepare
from scaling.data.tokenizers import SubwordTokenizer, build

REVISION = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
NAME = "openai-community/gpt2"
PROGRAM = f"""
import sys
from scaling.data.config import DataError, TokenizerConfig, vocab_size
from scaling.data.tokenizers import build

try:
    config = TokenizerConfig("hub", path="{NAME}", revision="{REVISION}")
    print(vocab_size(config), build(config, []).encode([b"a law of loss"])[0].tolist())
except DataError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a model's repository is, with the one file that matters."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = build(TokenizerConfig("bpe", 270), [b"a law of loss and data and compute and width\n"] * 5)
    assert isinstance(tokenizer, SubwordTokenizer)
    tokenizer.save(folder)
    return folder


def test_a_local_copy_of_a_repository_serves(
    repository: Path, tmp_path: Path, write_jsonl: Callable[..., Path], local_config: Callable[..., DataConfig],
    texts: list[str],
) -> None:  # fmt: skip
    hub = TokenizerConfig("hub", path=str(repository), revision="local")
    assert vocab_size(hub) == 270
    config = local_config(write_jsonl(texts), tokenizer=hub)
    manifest = Corpus.open(prepare(config, tmp_path / "cache")).manifest
    assert (manifest.tokenizer_kind, manifest.vocab_size) == ("hub", 270)
    other = TokenizerConfig("hub", path=NAME, revision=REVISION)
    names = [hub, other, TokenizerConfig("hub", path=NAME, revision="main"), TokenizerConfig("bpe", 270)]
    assert len({fingerprint(local_config(write_jsonl(texts), tokenizer=name)) for name in names}) == len(names)


def test_the_hub_serves_and_then_its_copy_in_the_cache(
    repository: Path, tmp_path: Path, python: Callable[..., Any]
) -> None:
    command = [
        sys.executable,
        str(Path(__file__).parent / "pretend_hub.py"),
        str(repository),
        REVISION,
        f"models/{NAME}",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        online = python(PROGRAM, HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path))
        absent = python(PROGRAM.replace(NAME, "nobody/nothing"), HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path))
    finally:
        server.terminate()
        server.communicate()
    assert (online.returncode, online.stderr) == (0, "")
    assert online.stdout.startswith("270 [")
    assert absent.returncode == 1
    assert absent.stderr.startswith(f"The tokenizer.json of nobody/nothing at revision {REVISION} cannot be fetched (")
    assert len(absent.stderr.splitlines()) == 1

    for environment in ({"HF_ENDPOINT": endpoint}, {"HF_HUB_OFFLINE": "1"}):
        offline = python(PROGRAM, HF_HOME=str(tmp_path), **environment)
        assert (offline.returncode, offline.stdout) == (0, online.stdout), offline.stderr


def test_an_absent_tokenizer_is_said_in_one_line(tmp_path: Path, python: Callable[..., Any]) -> None:
    result = python(PROGRAM, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    for part in (NAME, REVISION, "HF_HUB_OFFLINE is set", "data.tokenizer.path=", "data.tokenizer.kind=bpe"):
        assert part in result.stderr


def test_a_folder_without_the_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        vocab_size(TokenizerConfig("hub", path=str(tmp_path), revision="local"))

"""Several processes write the same token file as one, and none outlives its parent."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.data import token_files
from scaling.data.config import DataConfig, DataError, TokenizerConfig
from scaling.data.prepare import prepare
from scaling.data.token_files import _Worker


@pytest.fixture
def config(write_jsonl: Callable[..., Path], local_config: Callable[..., DataConfig], texts: list[str]) -> DataConfig:
    return local_config(write_jsonl([*texts, "a <|endoftext|> spelled out"]), tokenizer=TokenizerConfig("bpe", 300))


def test_the_token_file_does_not_depend_on_the_number_of_cores(
    tmp_path: Path, config: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for cores in (1, 3):
        monkeypatch.setattr(token_files, "_WORTH_PROCESSES_BYTES", 1)
        monkeypatch.setattr(token_files, "_BATCH_BYTES", 1000)
        monkeypatch.setattr(token_files, "available_cores", lambda cores=cores: cores)
        folder = prepare(config, tmp_path / str(cores))
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert files[0] == files[1]


def test_a_worker_that_dies_is_said(tmp_path: Path, config: DataConfig) -> None:
    folder = prepare(config, tmp_path)
    tokenizer = token_files.SubwordTokenizer.__reduce__  # a bound method is no tokenizer: the worker fails on it
    assert folder.exists()
    with _Worker(tokenizer, np.dtype("<u2")) as worker:  # type: ignore[arg-type]
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(DataError, match="has ended before its time"):
            worker.encode([b"text"])

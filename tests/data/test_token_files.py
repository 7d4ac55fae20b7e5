"""Several processes write the same token file as one, and none outlives its parent."""

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.data import token_files
from scaling.data.config import DataConfig, DataError, TokenizerConfig
from scaling.data.prepare import prepare
from scaling.data.token_files import _Worker
from scaling.data.tokenizers import ByteTokenizer


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


def test_a_worker_that_dies_is_said() -> None:
    with _Worker(ByteTokenizer(), np.dtype("<u2")) as worker:
        content, counts = worker.encode([b"ab", b""])
        assert np.frombuffer(content, dtype="<u2").tolist() == [0, 97, 98, 0]
        assert (counts.documents, counts.tokens) == (2, 4)
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(DataError, match="has ended before its time"):
            worker.encode([b"text"])


def test_a_worker_ends_with_its_input() -> None:
    with _Worker(ByteTokenizer(), np.dtype("<u2")) as worker:
        process = worker._process
    assert process.returncode == 0


def test_a_full_disk_ends_the_workers_too(tmp_path: Path, config: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_files, "_WORTH_PROCESSES_BYTES", 1)
    monkeypatch.setattr(token_files, "_BATCH_BYTES", 100)
    monkeypatch.setattr(token_files, "available_cores", lambda: 2)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"The disk of .* is full"):
        prepare(config, tmp_path / "cache")
    assert not [entry for entry in (tmp_path / "cache").iterdir() if entry.is_dir()]

"""Settings of every test, and the corpus that tests of training share."""

import os
import random
import signal
from pathlib import Path

import pytest

# One thread: two that spin against each other on a busy machine take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background job is started with interrupts ignored, and so would be all that its tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig
from scaling.data.prepare import prepare

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    generator = random.Random(0)
    for i in range(30):
        (root / f"{i}.txt").write_text(" ".join(generator.choice(WORDS) for _ in range(300)))
    config = DataConfig(
        name="words",
        source=SourceConfig(kind="local", path=str(root)),
        tokenizer=TokenizerConfig(kind="bytes"),
        licence="none",
        description="random words",
        validation_fraction=0.1,
    )
    return prepare(config, tmp_path_factory.mktemp("cache"))

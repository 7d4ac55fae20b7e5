"""Every validation set gets its losses in the record, by the same measure as the corpus' own split."""

from pathlib import Path

import pytest

from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig, ValidationSet
from scaling.data.manifest import read_manifest
from scaling.data.prepare import prepare
from scaling.records import ValidationLoss, read_record, record_path
from scaling.training.trajectory import Trajectory
from tests.tiny_run import BATCH, make_run, make_spec


def test_the_record_holds_the_loss_on_every_set(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other"
    for folder, words in ((text, "alpha beta gamma delta "), (other, "one two three four ")):
        folder.mkdir()
        for i in range(30):
            (folder / f"{i}.txt").write_text(f"document {i} {words * 40}\n")
    source = SourceConfig("local", str(text))
    sets = (
        ValidationSet("again", source, fraction=0.2),  # the documents of the corpus' own split
        ValidationSet("other", SourceConfig("local", str(other))),
    )
    config = DataConfig(
        "words", source, TokenizerConfig(), "none", "words", validation_fraction=0.2, validation_sets=sets
    )
    corpus = prepare(config, tmp_path / "cache")
    job, folder = make_run(tmp_path, make_spec(steps=(20,)), corpus)
    Trajectory(job, folder).run()
    record = read_record(record_path(folder, 20 * BATCH))
    manifest = read_manifest(corpus)
    assert list(record.validation_sets) == ["again", "other"]
    assert record.final_loss_nats is not None
    assert record.bits_per_byte is not None
    assert record.validation_sets["again"] == ValidationLoss(
        record.final_loss_nats, record.loss_sem_nats or 0.0, record.bits_per_byte, record.word_perplexity,
        record.validation_tokens,
    )  # fmt: skip
    assert record.validation_sets["other"].loss_nats > record.final_loss_nats
    # Perplexity per word, by its definition: all nats over all words and line ends.
    assert record.word_perplexity is not None
    counts = manifest.validation
    words = (counts.words + counts.lines) / (counts.tokens - 1)
    assert record.word_perplexity**words == pytest.approx(record.perplexity, rel=1e-12)

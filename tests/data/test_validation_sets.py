"""Further validation sets: other text, never trained on, counted and cleaned as the corpus."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaling.data.config import DataConfig, DataError, SourceConfig, TokenizerConfig, ValidationSet
from scaling.data.corpus import IGNORED_TARGET, Corpus
from scaling.data.fingerprint import fingerprint
from scaling.data.prepare import is_whole, prepare
from scaling.data.tokenizers import ByteTokenizer

WriteJsonl = Callable[..., Path]
LocalConfig = Callable[..., DataConfig]


def local_set(name: str, path: Path, **options: object) -> ValidationSet:
    return ValidationSet(name, SourceConfig("local", str(path)), **options)  # type: ignore[arg-type]


def read(tokens: object) -> list[str]:
    return ByteTokenizer().decode(np.asarray(tokens)).split("\0")[1:]


def test_a_set_is_whole_and_nothing_of_it_is_trained_on(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    other = [*texts[:20], "of other origin\n", "of other origin\n", ""]
    train = write_jsonl(texts, "train.jsonl")
    plain = Corpus.open(prepare(local_config(train), tmp_path / "cache"))
    config = local_config(train, validation_sets=(local_set("other", write_jsonl(other, "other.jsonl")),))
    corpus = Corpus.open(prepare(config, tmp_path / "cache"))
    assert sorted(read(corpus.validation_sets["other"])) == sorted([*texts[:20], "of other origin\n"])
    assert read(corpus.validation) == read(plain.validation)  # the corpus' own split stays as it is
    assert set(read(corpus.train)) == set(read(plain.train)) - set(texts[:20])
    (facts,) = corpus.manifest.validation_sets
    assert (facts.counts.documents, facts.source_version) == (21, "local")
    assert facts.overlap.share == 0.0
    inputs, targets = corpus.validation_windows(64, "other")
    assert np.count_nonzero(targets != IGNORED_TARGET) == facts.counts.tokens - 1
    assert inputs.shape[1] == 64


def test_overlap_is_reported_for_each_set_and_removed_from_training(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    known = write_jsonl([f"{text} and more" for text in texts[:5]], "known.jsonl")
    unknown = write_jsonl([" ".join(f"new{number}" for number in range(30))], "unknown.jsonl")
    sets = (local_set("known", known), local_set("unknown", unknown))
    config = local_config(write_jsonl(texts, "train.jsonl"), validation_sets=sets)
    shares = {}
    for remove in (False, True):
        manifest = Corpus.open(prepare(replace(config, remove_overlap=remove), tmp_path / "cache")).manifest
        shares[remove] = {facts.name: facts.overlap.share for facts in manifest.validation_sets}
    assert shares[False]["known"] > 0.5
    assert shares[False]["unknown"] == 0.0
    assert shares[True] == {"known": 0.0, "unknown": 0.0}


def test_a_fraction_is_the_validation_split_of_the_other_corpus(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    other = write_jsonl([f"another {text}" for text in texts], "other.jsonl")
    its_own = Corpus.open(prepare(local_config(other, split_salt="x", validation_fraction=0.2), tmp_path / "cache"))
    part = local_set("other", other, fraction=0.2, split_salt="x")
    corpus = Corpus.open(
        prepare(local_config(write_jsonl(texts, "train.jsonl"), validation_sets=(part,)), tmp_path / "cache")
    )
    assert read(corpus.validation_sets["other"]) == read(its_own.validation)


def test_a_set_is_part_of_what_makes_a_corpus_whole(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    train, other = write_jsonl(texts, "train.jsonl"), write_jsonl(["other words"], "other.jsonl")
    plain = local_config(train)
    config = replace(plain, validation_sets=(local_set("other", other),))
    names = [plain, config, replace(plain, validation_sets=(local_set("name", other),))]
    names.append(replace(plain, validation_sets=(local_set("other", other, fraction=0.5),)))
    assert len({fingerprint(name) for name in names}) == len(names)
    folder = prepare(config, tmp_path / "cache")
    (folder / "validation-other.bin").write_bytes(b"")
    assert not is_whole(folder, fingerprint(config))
    assert is_whole(prepare(config, tmp_path / "cache"), fingerprint(config))
    with pytest.raises(DataError, match="other are fewer than one context"):
        Corpus.open(folder).validation_windows(64, "other")


def test_words_are_counted_as_wikitexts_authors_do(
    tmp_path: Path, write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    text = "two words\nthree more words\n"
    other = local_set("other", write_jsonl([text], "other.jsonl"))
    config = local_config(write_jsonl([f"text {n}" for n in range(50)]), validation_sets=(other,))
    (facts,) = Corpus.open(prepare(config, tmp_path / "cache")).manifest.validation_sets
    assert facts.counts.words_per_token == (5 + 2) / len(text)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "a b", "split": "x"}, "use letters, digits and '_'"),
        ({"name": "final", "split": "x"}, "use letters, digits and '_'"),
        ({"name": "a"}, "needs a source or a split"),
        ({"name": "a", "source": SourceConfig("python_sources"), "split": "x"}, "needs a source or a split"),
        ({"name": "a", "source": SourceConfig("local", "x", validation_path="y")}, "not said which of its texts"),
        ({"name": "a", "source": SourceConfig("python_sources"), "fraction": 1.5}, "must lie between 0 and 1"),
    ],
)
def test_a_set_that_makes_no_sense(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ValidationSet(**wrong)  # type: ignore[arg-type]


def test_sets_that_do_not_go_with_their_corpus(
    tmp_path: Path, write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    path = write_jsonl(["text"])
    with pytest.raises(DataError, match="twice"):
        local_config(path, validation_sets=(local_set("a", path), local_set("a", path)))
    with pytest.raises(DataError, match="names a split, which"):
        local_config(path, validation_sets=(ValidationSet("a", split="test"),))
    hub = SourceConfig("hub", "a/b", revision="c", validation_split="validation")
    used = (ValidationSet("a", split="validation"),)
    with pytest.raises(DataError, match="uses already"):
        DataConfig("n", hub, TokenizerConfig(), "", "", validation_sets=used)
    empty = local_set("a", write_jsonl([" "], "empty.jsonl"))
    with pytest.raises(DataError, match="a holds no text after cleaning"):
        prepare(local_config(write_jsonl(["one", "two"]), validation_sets=(empty,)), tmp_path / "cache")

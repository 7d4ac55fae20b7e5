"""Tokenizers: what goes in comes out, training text alone decides the vocabulary, long texts may be cut."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data import tokenizers, word_memo
from scaling.data.config import DataConfig, DataError, TokenizerConfig, vocab_size
from scaling.data.corpus import Corpus
from scaling.data.prepare import prepare
from scaling.data.tokenizers import ByteTokenizer, SubwordTokenizer, build

BPE = TokenizerConfig(kind="bpe", vocab_size=300)


@pytest.fixture(scope="module")
def bpe() -> SubwordTokenizer:
    words = ["law", "loss", "token", "model", "data", "scaling", "compute", "width", "depth", "rate", "batch", "step"]
    texts = [f"{first} {second}'s {third}\n" for first in words for second in words for third in words]
    tokenizer = build(BPE, [text.encode() for text in texts])
    assert isinstance(tokenizer, SubwordTokenizer)
    return tokenizer


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@settings(max_examples=100, deadline=None)
def test_bytes_come_back(text: str) -> None:
    (tokens,) = ByteTokenizer().encode([text.encode()])
    assert len(tokens) == len(text.encode())
    assert ByteTokenizer().separator not in tokens
    assert ByteTokenizer().decode(tokens) == text


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=100, deadline=None)
def test_byte_level_bpe_comes_back(text: str, bpe: SubwordTokenizer) -> None:
    (tokens,) = bpe.encode([text.encode()])
    assert bpe.decode(tokens) == text


def test_a_separator_spelled_out_in_the_text_is_text(bpe: SubwordTokenizer) -> None:
    text = "before <|endoftext|> after"
    (tokens,) = bpe.encode([text.encode()])
    assert bpe.separator not in tokens
    assert bpe.decode(tokens) == text


WHITE = ["", " ", "  ", "\n", "\n\n", " \n", "\n ", "\t", "\r\n", "\x85", "\u3000", "\u2028 ", "\x1c", "\xa0"]
BLACK = ["law", "loss's", "width", "é", "12", "x", "it'll", "--", "<|endoftext|>", "数", "\u200b", "'s", "a\u0301"]


@given(
    parts=st.lists(st.tuples(st.sampled_from(WHITE), st.sampled_from(BLACK)), max_size=60),
    piece=st.integers(1, 40),
)
@settings(max_examples=300, deadline=None)
def test_the_fast_way_gives_the_same_tokens(parts: list[tuple[str, str]], piece: int, bpe: SubwordTokenizer) -> None:
    text = "".join(white + black for white, black in parts).encode()
    assert bpe.memo is not None
    expected = SubwordTokenizer(bpe.inner, bpe.separator).encode([text, b""])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizers, "_PIECE_BYTES", piece)
        patch.setattr(word_memo, "_MOST_WORDS", 5)
        assert b"".join(tokenizers._pieces(text)) == text
        tokens = bpe.encode([text, b""])
    for fast, plain in zip(tokens, expected, strict=True):
        np.testing.assert_array_equal(fast, plain)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@settings(max_examples=300, deadline=None)
def test_the_fast_way_agrees_on_any_text(text: str, bpe: SubwordTokenizer) -> None:
    (plain,) = SubwordTokenizer(bpe.inner, bpe.separator).encode([text.encode()])
    (fast,) = bpe.encode([text.encode()])
    np.testing.assert_array_equal(fast, plain)


def test_training_is_deterministic_and_fills_the_vocabulary(bpe: SubwordTokenizer) -> None:
    texts = [b"a law of loss and data\n" * 3, b"compute and width\n", b"depth and rate of a batch\n"] * 5
    config = TokenizerConfig(kind="bpe", vocab_size=270)
    first, second = build(config, texts), build(config, texts)
    assert first.sha256 == second.sha256
    assert (bpe.vocab_size, first.vocab_size) == (300, 270)


def test_bpe_is_trained_on_the_training_split_alone(
    tmp_path: Path, write_jsonl: Callable[..., Path], local_config: Callable[..., DataConfig], texts: list[str]
) -> None:
    train = write_jsonl(texts, "train.jsonl")
    vocabularies = []
    for name, validation in (("one", ["zebra " * 500]), ("two", ["quokka " * 900, "x"])):
        source = {"validation_path": str(write_jsonl(validation, f"{name}.jsonl"))}
        config = local_config(train, source, validation_fraction=None, tokenizer=TokenizerConfig("bpe", 300))
        folder = prepare(config, tmp_path / "cache")
        corpus = Corpus.open(folder)
        assert corpus.manifest.vocab_size == 300
        assert corpus.train.dtype == np.uint16
        assert (corpus.train == corpus.manifest.separator_token).sum() == len(texts)
        vocabularies.append((corpus.manifest.tokenizer_sha256, (folder / "tokenizer.json").read_bytes()))
    assert vocabularies[0] == vocabularies[1]


def test_any_tokenizer_json_serves(
    tmp_path: Path,
    write_jsonl: Callable[..., Path],
    local_config: Callable[..., DataConfig],
    texts: list[str],
    bpe: SubwordTokenizer,
) -> None:
    bpe.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    config = local_config(write_jsonl(texts), tokenizer=TokenizerConfig("file", path=str(path)))
    assert vocab_size(config.tokenizer) == 300
    folder = prepare(config, tmp_path / "cache")
    corpus = Corpus.open(folder)
    assert corpus.manifest.vocab_size == 300
    loaded = tokenizers.load(folder / "tokenizer.json", "<|endoftext|>")
    start = "<|endoftext|>document "
    assert loaded.decode(np.asarray(corpus.train)).startswith(start)

    with pytest.raises(DataError, match=r"separator='</s>' is no token .* are <\|endoftext\|>"):
        prepare(
            local_config(write_jsonl(texts), tokenizer=TokenizerConfig("file", path=str(path), separator="</s>")),
            tmp_path / "cache",
        )


def test_a_vocabulary_beyond_two_bytes_takes_four(
    tmp_path: Path, write_jsonl: Callable[..., Path], local_config: Callable[..., DataConfig], texts: list[str]
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {f"w{number}": number for number in range(70_000)} | {"<|endoftext|>": 70_000, "law": 70_001, "?": 70_002}
    inner = Tokenizer(models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(tmp_path / "words.json"))
    config = TokenizerConfig("file", path=str(tmp_path / "words.json"))
    assert vocab_size(config) == 70_003
    corpus = Corpus.open(prepare(local_config(write_jsonl(texts), tokenizer=config), tmp_path / "cache"))
    assert corpus.train.dtype == np.uint32
    assert corpus.train.max() == 70_002


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than the training text can fill"):
        build(TokenizerConfig("bpe", 1000), [b"too little"])
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        build(TokenizerConfig("file", path=str(tmp_path / "absent.json")), [])
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"model": 1}))
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        build(TokenizerConfig("file", path=str(wrong)), [])
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        vocab_size(TokenizerConfig("file", path=str(wrong)))


def test_an_endless_word_does_not_hold_up_the_training_of_a_bpe() -> None:
    """BPE takes the square of a word's length: such a word is cut, for training alone, and that is said."""
    plain = [f"some text of every day, number {i % 7}, and more of it".encode() for i in range(300)]
    said: list[str] = []
    config = TokenizerConfig("bpe", vocab_size=300)
    tokenizer = build(config, [*plain, b"x" * 200_000, b" " * 30_000 + b"end"], said.append)
    assert said == ["2 runs of more than 5,000 letters or blanks were cut for training the BPE"]
    assert len(tokenizer.encode([b"x" * 50_000])[0]) < 50_000 / 100  # the merges of the word are there
    assert tokenizer.decode(tokenizer.encode([b"x" * 7_777])[0]) == "x" * 7_777
    said.clear()
    build(config, [*plain, b"x" * 5_000], said.append)
    assert not said

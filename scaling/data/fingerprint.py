"""The identity of a prepared corpus: a hash of all that determines its token files, and of nothing else."""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path

from scaling.data import python_sources
from scaling.data.config import DataConfig, DataError, SourceConfig, TokenizerConfig
from scaling.data.local import readable_files, separated
from scaling.data.tokenizer_files import tokenizer_file
from scaling.data.wikitext_files import wikitext_files

# Raise it whenever the same configuration would give other token files than before.
FORMAT_VERSION = 1


def fingerprint(config: DataConfig) -> str:
    """Hexadecimal SHA-256 of what determines the token files: source, options, tokenizer, format version.

    Name, licence, description and `unique_tokens` are left out: none of them changes a token. Local files and
    a tokenizer.json enter by their content, so a corpus that is moved keeps its fingerprint and one that is
    edited does not. Raises DataError if such a file cannot be read.
    """
    identity: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "source": _source_identity(config.source),
        "tokenizer": _tokenizer_identity(config.tokenizer),
        "validation_fraction": config.validation_fraction,
        "split_salt": config.split_salt,
        "normalise": config.normalise,
        "drop_duplicates": config.drop_duplicates,
    }
    # Options that came later enter only where they are used, so that corpora prepared before them keep their names.
    if config.near_duplicate_similarity is not None:
        identity["near_duplicate_similarity"] = config.near_duplicate_similarity
    if config.remove_overlap:
        identity["remove_overlap"] = True
    if config.validation_sets:
        identity["validation_sets"] = [
            asdict(each) | {"source": each.source and _source_identity(each.source)} for each in config.validation_sets
        ]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _source_identity(source: SourceConfig) -> dict[str, str | int | float | None]:
    identity: dict[str, str | int | float | None] = {"kind": source.kind}
    if source.max_bytes is not None:
        identity["max_bytes"] = source.max_bytes
    if source.kind in ("botocore", "wiki_intros"):
        return identity | {"version": source.version}
    if source.kind == "api_docs":
        return identity | {"version": source.version, "google_version": source.google_version}
    if source.kind == "python_sources":
        return identity | {"version": platform.python_version(), "files": _library_hash()}
    if source.kind == "synthetic":
        return identity | {key: value for key, value in asdict(source).items() if key.startswith("language_")}
    assert source.path is not None
    path = Path(source.path)
    identity |= {"text_column": source.text_column, "document_unit": source.document_unit}
    if source.kind == "local":
        identity["files"] = _content_hash(_names(path))
        if separated(source):
            identity["document_separator"] = source.document_separator
        identity["validation_files"] = source.validation_path and _content_hash(_names(Path(source.validation_path)))
        return identity
    identity |= {
        "name": source.name,
        "train_split": source.train_split,
        "validation_split": source.validation_split,
    }
    if path.is_dir():
        return identity | {"files": _content_hash(_names(path))}
    return identity | {"repository": source.path, "revision": source.revision}


@cache
def _library_hash() -> str:
    """Of the files that `python_sources.files` found, which it looks for once in a process as well."""
    root = python_sources.library_folder()
    return _content_hash((file, file.relative_to(root)) for file in python_sources.files())


def _tokenizer_identity(tokenizer: TokenizerConfig) -> dict[str, str | int | None]:
    if tokenizer.kind == "bytes":
        return {"kind": tokenizer.kind}
    if tokenizer.kind == "bpe":
        return {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size, "separator": tokenizer.separator}
    assert tokenizer.path is not None
    identity: dict[str, str | int | None] = {"kind": tokenizer.kind, "separator": tokenizer.separator}
    if tokenizer.kind == "hub" and not Path(tokenizer.path).is_dir():
        return identity | {"repository": tokenizer.path, "revision": tokenizer.revision}
    return identity | {"content": _file_hash(tokenizer_file(tokenizer))}


def _names(path: Path) -> list[tuple[Path, Path]]:
    """The readable files at or below `path`, each with its name below it."""
    if path.is_dir() and (wikitext := wikitext_files(path)):
        return [(file, file.relative_to(path)) for file in wikitext.values()]
    return [(file, file.relative_to(path) if path.is_dir() else Path()) for file in readable_files(path)]


def _content_hash(names: Iterable[tuple[Path, Path]]) -> str:
    """SHA-256 over the relative name and content of files."""
    digest = hashlib.sha256()
    for file, name in names:
        digest.update(f"{name.as_posix()}\0{_file_hash(file)}\n".encode())
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    """Read once in a process for as long as its size and times stay: a command asks for a corpus a dozen times."""
    try:
        state = path.stat()
        return _hash_of(path, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be read ({error.strerror}): check the path and its permissions."
        ) from error


@lru_cache(maxsize=65_536)
def _hash_of(path: Path, size: int, modified_ns: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

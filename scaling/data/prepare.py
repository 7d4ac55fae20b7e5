"""From a source to token files: read, clean, split, tokenise, count; whole or not at all."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from scaling.data import tokenizers
from scaling.data.config import DataConfig, DataError
from scaling.data.fingerprint import FORMAT_VERSION, fingerprint
from scaling.data.finished import Finished, is_of, name_after
from scaling.data.integrity import damage, digests_of
from scaling.data.local import separated
from scaling.data.manifest import (
    MANIFEST_FILE,
    TRAIN_FILE,
    VALIDATION_FILE,
    Manifest,
    SplitCounts,
    ValidationFacts,
    read_manifest,
    set_file,
)
from scaling.data.overlap import measure_overlaps
from scaling.data.sources import Source, open_source
from scaling.data.spool import Side, gather
from scaling.data.token_files import write_tokens

SPOOL_FOLDER = "spool"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Progress = Callable[[str], None]


def prepare(config: DataConfig, root: Path, progress: Progress | None = None) -> Path:
    """Return the folder of the prepared corpus below `root`, made now unless it is there already.

    The folder appears under its name only when it is whole: everything is written beside it first. Of two
    processes that want the same corpus one works and the other waits. `progress` is told each stage in a few
    words; what is there and damaged is named, and made anew. Raises DataError for whatever the user can put right:
    source, options, a full disk.
    """
    report = progress or (lambda message: None)
    identity = fingerprint(config)
    folder = root / f"{config.name}-{identity[:12]}"
    before = _written(folder)
    problem = _problem(folder, identity, in_full=True)
    if problem is None:
        _complete(folder)
        return folder
    if folder.exists():
        report(f"{problem}: the corpus is prepared anew; what was trained on it meanwhile may have seen other text")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / f".{folder.name}.lock", report):
            # Unless another process has prepared it meanwhile.
            if _written(folder) == before or _problem(folder, identity, in_full=True) is not None:
                partial = root / f".{folder.name}.partial"
                # What a process that was killed had finished is gone on from; after an error nothing is left.
                if not is_of(partial / SPOOL_FOLDER, identity):
                    shutil.rmtree(partial, ignore_errors=True)
                try:
                    partial.mkdir(exist_ok=True)
                    _write_corpus(config, identity, partial, report)
                    _install(partial, folder)
                except Exception:  # whatever it was, it goes on to the caller; an interrupt keeps what was finished
                    shutil.rmtree(partial, ignore_errors=True)
                    raise
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise DataError(
                f"The disk of {str(root)!r} is full ({error.strerror}): preparing needs about four times the "
                "size of the text; free some space or choose another folder. Nothing was left behind."
            ) from error
        raise DataError(
            f"{str(root)!r} cannot be written ({error}): choose a folder on a disk where you may write."
        ) from error
    return folder


def corpus_folder(config: DataConfig, root: Path) -> Path:
    """Where `prepare` puts this corpus, whether or not it has."""
    return root / f"{config.name}-{fingerprint(config)[:12]}"


def is_whole(folder: Path, identity: str) -> bool:
    """Whether the folder holds this corpus, with token files of the size its manifest says."""
    return _problem(folder, identity, in_full=False) is None


def _written(folder: Path) -> tuple[int, int] | None:
    """Which preparation a folder holds, None for none."""
    try:
        state = (folder / MANIFEST_FILE).stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns


def _problem(folder: Path, identity: str, *, in_full: bool) -> str | None:
    """Why the folder does not hold this corpus, None where it does; token files are read only `in_full`."""
    try:
        manifest = read_manifest(folder)
        if (manifest.format_version, manifest.fingerprint) != (FORMAT_VERSION, identity):
            return f"{folder} is of another version or another corpus"
        token_bytes = np.dtype(manifest.token_dtype).itemsize
        for name, split in manifest.token_files.items():
            size = (folder / name).stat().st_size
            if size != split.tokens * token_bytes:
                return (
                    f"{folder / name} is damaged: it has {size} bytes, and by its manifest {split.tokens * token_bytes}"
                )
    except (DataError, OSError, TypeError) as error:
        return f"{folder} cannot be read ({error})"
    return damage(folder, manifest.files) if in_full else None


def _install(fresh: Path, folder: Path) -> None:
    """Give a preparation its name, or put its files into the folder that has it, the manifest last: whatever else is
    there, such as somebody's notes, stays, and a folder in the place of a file goes under another name."""
    if not folder.exists():
        fresh.rename(folder)
        return
    for path in [folder / MANIFEST_FILE, *sorted(fresh.iterdir(), key=lambda path: path.name == MANIFEST_FILE)]:
        place = folder / path.name
        if place.is_dir():
            place.rename(next(name for i in count(1) if not (name := folder / f"{path.name}.{i}.moved").exists()))
        if path == place:
            place.unlink(missing_ok=True)
        else:
            path.replace(place)
    fresh.rmdir()


def _complete(folder: Path) -> None:
    """Add the digests to the manifest of an earlier version; not where the folder cannot be written."""
    manifest = read_manifest(folder)
    if not manifest.files:
        with suppress(OSError):
            replace(manifest, files=digests_of(folder, manifest.token_files)).write(folder)


@contextmanager
def _lock(path: Path, report: Progress) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report("waiting for another process that prepares this corpus")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write_corpus(config: DataConfig, identity: str, folder: Path, report: Progress) -> None:
    report(f"reading {config.name}")
    if config.source.kind == "local" and separated(config.source):
        report(f"text files are cut into documents at {config.source.document_separator!r}")
    source, further = open_source(config.source), _further_sources(config)
    spool_folder = folder / SPOOL_FOLDER
    spool_folder.mkdir(exist_ok=True)
    name_after(spool_folder, identity)
    finished = Finished(spool_folder)
    spool = finished.spool(lambda: gather(config, source, spool_folder / "text", further))
    if config.tokenizer.kind == "bpe":
        report(f"training a BPE of {config.tokenizer.vocab_size} entries")
        trained = finished.text("bpe", lambda: tokenizers.train(config.tokenizer, spool.train.texts(), report))
        tokenizer: tokenizers.Tokenizer = tokenizers.restore(trained, config.tokenizer)
    else:
        tokenizer = tokenizers.build(config.tokenizer, spool.train.texts(), report)
    if isinstance(tokenizer, tokenizers.SubwordTokenizer):
        tokenizer.save(folder)
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")
    report("tokenising")

    def tokens_of(side: Side, file: Path) -> SplitCounts:
        return finished.counts(file, lambda: write_tokens(side, tokenizer, file, dtype))

    validation = tokens_of(spool.validation, folder / VALIDATION_FILE)
    set_counts = {name: tokens_of(each.side, folder / set_file(name)) for name, each in spool.sets.items()}
    train = tokens_of(spool.train, folder / TRAIN_FILE)
    report("measuring the overlap of validation with training")
    sides = [spool.validation, *(each.side for each in spool.sets.values())]
    overlap, *set_overlaps = measure_overlaps(spool.train.texts(), (side.texts() for side in sides))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        fingerprint=identity,
        name=config.name,
        description=config.description,
        licence=config.licence,
        source_kind=config.source.kind,
        source_version=source.version,
        source_sha256=spool.source_sha256,
        tokenizer_kind=config.tokenizer.kind,
        tokenizer_sha256=tokenizer.sha256,
        vocab_size=tokenizer.vocab_size,
        separator_token=tokenizer.separator,
        token_dtype=dtype.str,
        train=train,
        validation=validation,
        dropped=spool.dropped,
        overlap=overlap,
        validation_keys=spool.validation_keys,
        true_nats_per_byte=source.true_nats_per_byte,
        validation_sets=tuple(
            ValidationFacts(
                name=each.name,
                source_kind=(each.source or config.source).kind,
                source_version=further[each.name].version,
                source_sha256=spool.sets[each.name].sha256,
                counts=set_counts[each.name],
                overlap=seen,
            )
            for each, seen in zip(config.validation_sets, set_overlaps, strict=True)
        ),
    )
    shutil.rmtree(spool_folder)
    replace(manifest, files=digests_of(folder, manifest.token_files)).write(folder)


def _further_sources(config: DataConfig) -> dict[str, Source]:
    """The source of each further validation set; its text is what it would train on."""
    sources = {}
    for each in config.validation_sets:
        text = each.source or replace(config.source, train_split=str(each.split), validation_split=None)
        sources[each.name] = open_source(text)
    return sources

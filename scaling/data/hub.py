"""Datasets of the Hugging Face hub, a copy of one in the cache, or a folder laid out like one.

Where the hub does not answer in time, the caches are looked into, and if they have nothing that is said.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.data.config import DataError, SourceConfig
from scaling.data.hub_access import obstacle
from scaling.data.rows import readable, silent_datasets, text_rows
from scaling.data.wikitext_files import lines_of, wikitext_files


@dataclass(frozen=True)
class HubRows:
    """Readers of a dataset's text column; version: where the text comes from, with the revision."""

    version: str
    train: Callable[[], Iterator[str]]
    validation: Callable[[], Iterator[str]] | None


def open_dataset(config: SourceConfig) -> HubRows:
    """Open the splits of a hub dataset, from a local folder, the hub, or a cached copy, in this order.

    Raises DataError: within 10 seconds if the hub cannot be reached and no cached copy serves; if the
    repository, configuration, revision, split or column does not exist; if a file is damaged.
    """
    assert config.path is not None
    if Path(config.path).is_dir() and (files := wikitext_files(Path(config.path))):
        validation = config.validation_split
        return HubRows(
            ", ".join(file.name for file in files.values()),
            lambda: lines_of(files, config.train_split),
            None if validation is None else lambda: lines_of(files, validation),
        )
    if Path(config.path).is_dir():
        return _open(config, "local folder", lambda split: _load(config.path, config.name, None, split, streaming=True))
    absent = obstacle(f"datasets/{config.path}")
    if absent is None:
        return _open(
            config,
            f"{config.path}@{config.revision}",
            lambda split: _load(config.path, config.name, config.revision, split, streaming=config.streaming),
        )
    load_cached = _cached(config)
    if load_cached is None:
        raise DataError(
            f"The dataset {config.path} cannot be loaded: {absent}, and there is no cached copy of "
            f"revision {config.revision}. Take data=aws_docs, the offline default; or set HF_HOME to a cache "
            "that holds a copy; or data.source.path=FOLDER, a local copy of the repository (README.md and "
            "parquet files, or wiki.train.raw and the others as their authors zip them); or data=local."
        )
    return _open(config, f"{config.path}@{config.revision}", load_cached)


def _open(config: SourceConfig, version: str, load: Callable[[str], Any]) -> HubRows:
    def rows(split: str) -> Callable[[], Iterator[str]]:
        origin = f"{config.path} {config.name or ''} [{split}]"
        with readable(origin, "check data.source.path, name, revision and the names of the splits."):
            dataset = load(split)
        return lambda: text_rows(dataset, config.text_column, origin)

    return HubRows(
        version, rows(config.train_split), rows(config.validation_split) if config.validation_split else None
    )


def _load(path: str | None, name: str | None, revision: str | None, split: str, *, streaming: bool) -> Any:
    return silent_datasets().load_dataset(path, name, revision=revision, split=split, streaming=streaming)


def _cached(config: SourceConfig) -> Callable[[str], Any] | None:
    """A loader of the pinned revision's splits from the caches alone, not the network; None if they lack it.

    Two caches may hold it: that of `datasets` (Arrow files, made by load_dataset) and that of
    `huggingface_hub` (the repository's own files, made by `hf download`).
    """
    datasets = silent_datasets()
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    assert config.path is not None
    folder_name = config.path.replace("/", "___")
    prepared = [
        info.parent
        for info in Path(datasets.config.HF_DATASETS_CACHE).glob(f"{folder_name}/*/*/*/dataset_info.json")
        if info.parent.name == config.revision and config.name in (None, info.parents[2].name)
    ]
    if prepared:
        newest = max(prepared, key=lambda folder: folder.stat().st_mtime)
        return lambda split: _arrow_split(newest, split)
    try:
        snapshot = huggingface_hub.snapshot_download(
            config.path, repo_type="dataset", revision=config.revision, local_files_only=True
        )
    except (LocalEntryNotFoundError, ValueError, OSError):
        return None
    return lambda split: _load(snapshot, config.name, None, split, streaming=True)


def _arrow_split(folder: Path, split: str) -> Any:
    """The memory-mapped Arrow files `NAME-SPLIT.arrow` or `NAME-SPLIT-00000-of-00002.arrow` of a split."""
    datasets = silent_datasets()
    files = sorted([*folder.glob(f"*-{split}.arrow"), *folder.glob(f"*-{split}-?????-of-?????.arrow")])
    if not files:
        raise DataError(f"data.source: the cached copy {folder} has no split {split!r}: name another split.")
    return datasets.concatenate_datasets([datasets.Dataset.from_file(str(file)) for file in files])

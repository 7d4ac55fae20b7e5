"""Text files, compressed or not, and folders of them, through the builders of `datasets`, streamed."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from glob import escape
from importlib import util
from pathlib import Path

from scaling.data.config import DataError, SourceConfig
from scaling.data.json_lines import json_texts, open_binary
from scaling.data.rows import REPLACE_IT, readable, silent_datasets, text_rows
from scaling.names import nearest_path

_BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
_COMPRESSIONS = (".gz", ".zst")
CHUNK = 1 << 24


def readable_files(path: Path, setting: str = "data.source.path") -> list[Path]:
    """The files at or below `path` that can be read, sorted; hidden ones are passed over.

    setting: what the user calls the path. Raises DataError if there is none.
    """
    if path.is_file():
        if _builder(path) is None:
            raise DataError(f"{setting}={str(path)!r} is not a file of {_kinds()}: convert it to one of these.")
        return [path]
    if not path.is_dir():
        raise DataError(
            f"{setting}={str(path)!r} does not exist: give a file of {_kinds()}, or a folder of such files; "
            f"{nearest_path(path)}"
        )
    files = sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and _builder(file) and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not files:
        raise DataError(f"{setting}={str(path)!r} holds no file of {_kinds()}: put some there, or give another.")
    return files


def open_files(
    config: SourceConfig,
) -> tuple[Callable[[], Iterator[str]], Callable[[], Iterator[str]] | None]:
    """Readers of the rows for training and, if `validation_path` names some, for validation.

    A row is the whole of a .txt file, or what stands between two separators of it (a line where lines are to be grouped
    into articles), an object of a .jsonl, a row of a .parquet. Files that are also validation files are left out of
    training. Raises DataError if either has no readable file.
    """
    assert config.path is not None
    train_files = readable_files(Path(config.path))
    if config.validation_path is None:
        return lambda: _rows(train_files, config), None
    validation_files = readable_files(Path(config.validation_path), "data.source.validation_path")
    held_out = {file.resolve() for file in validation_files}
    train_files = [file for file in train_files if file.resolve() not in held_out]
    if not train_files:
        raise DataError(
            f"data.source.path={config.path!r} and data.source.validation_path={config.validation_path!r} "
            "name the same files: give other files for validation, or set it to null and "
            "data.validation_fraction=0.01."
        )
    return lambda: _rows(train_files, config), lambda: _rows(validation_files, config)


def _rows(files: list[Path], config: SourceConfig) -> Iterator[str]:
    empty = {file for file in files if file.stat().st_size == 0}
    yield from ("" for _ in empty)  # to be counted as empty documents
    # Text files are loaded together, which is many times faster; the others may differ in their columns.
    text_files = [file for file in files if _builder(file) == "text" and file not in empty]
    try:
        yield from _rows_of("text", text_files, config)
    except DataError:
        for file in text_files:  # which one is it? The library does not say.
            deque(_rows_of("text", [file], config), maxlen=0)
        raise
    for file in files:
        if _builder(file) == "parquet" and file not in empty:
            yield from _rows_of("parquet", [file], config)
        elif _builder(file) == "json" and file not in empty:
            _require_unpacker([file], config)
            with readable(str(file), REPLACE_IT):
                yield from json_texts(file, config.text_column)


def _rows_of(builder: str, files: list[Path], config: SourceConfig) -> Iterator[str]:
    if not files:
        return
    options: dict[str, str] = {}
    if builder == "text":
        unit = "document" if config.document_unit == "row" else "line"
        options = {"sample_by": unit, "encoding_errors": "replace"}
    _require_unpacker(files, config)
    origin = str(files[0]) if len(files) == 1 else f"the {len(files)} {builder} files of {config.path}"
    with readable(origin, REPLACE_IT):
        dataset = silent_datasets().load_dataset(
            builder,
            data_files=[escape(str(file.resolve())) for file in files],
            split="train",
            streaming=True,
            **options,
        )
    rows = text_rows(dataset, "text" if builder == "text" else config.text_column, origin)
    separator = config.document_separator
    if builder != "text" or config.document_unit != "row" or not separator:
        yield from rows
        return
    for text in rows:
        parts = text.split(separator)
        yield from (part.removeprefix("\n") for part in parts if len(parts) == 1 or part.strip())


def _require_unpacker(files: list[Path], config: SourceConfig) -> None:
    if any(file.suffix.lower() == ".zst" for file in files) and util.find_spec("zstandard") is None:
        raise DataError(
            f"{config.path} holds .zst files, which need the package zstandard: pip install zstandard, or unpack them."
        )


def separated(config: SourceConfig) -> bool:
    """Whether the separator of documents stands in a text file, so that such files are cut there."""
    if config.document_unit != "row" or not config.document_separator:
        return False
    paths = [config.path, config.validation_path]
    files = [file for path in paths if path for file in readable_files(Path(path)) if _builder(file) == "text"]
    return any(_holds(file, file.stat().st_mtime_ns, config.document_separator.encode()) for file in files)


@lru_cache(maxsize=65_536)
def _holds(path: Path, modified_ns: int, word: bytes) -> bool:
    """Whether a file has a word in it; read once in a process for as long as its time stays."""
    with readable(str(path), REPLACE_IT), open_binary(path) as file:
        end = b""
        while chunk := file.read(CHUNK):
            if word in end + chunk:
                return True
            end = chunk[-len(word) :]
    return False


def _builder(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSIONS:
        suffixes.pop()
    return _BUILDERS.get(suffixes[-1]) if suffixes else None


def _kinds() -> str:
    return f"{', '.join(_BUILDERS)} (or one of them with {' or '.join(_COMPRESSIONS)})"

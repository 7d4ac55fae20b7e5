"""Rows of text through the `datasets` library: quiet, in bounded memory, its errors made one clear line."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scaling.data.config import DataError
from scaling.data.hub_access import quiet_hub

REPLACE_IT = "it is truncated, damaged, or not what its name says; replace it, or take it out."

_ROWS_AT_A_TIME = 256


def silent_datasets() -> Any:
    """The `datasets` library, imported late, no progress bars, no log lines: exceptions say what matters."""
    import datasets

    datasets.disable_progress_bars()
    datasets.config.TORCH_AVAILABLE = False  # or every stream imports torch, a second or two, to read text
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # or every local file is reported to the hub, if it answers
    quiet_hub()
    return datasets


def text_rows(dataset: Any, column: str, origin: str) -> Iterator[str]:
    """The strings of `column`; null counts as an empty text.

    dataset: a `datasets` Dataset or IterableDataset. origin: what to call it in a message.
    Raises DataError for a missing column, a column that is no text, and data that cannot be read.
    """
    with readable(origin, REPLACE_IT):
        for batch in dataset.iter(batch_size=_ROWS_AT_A_TIME):
            if column not in batch:
                raise DataError(
                    f"data.source.text_column={column!r} is no column of {origin}, which has "
                    f"{', '.join(map(repr, batch))}: choose one of these."
                )
            for value in batch[column]:
                if value is not None and not isinstance(value, str):
                    raise DataError(
                        f"data.source.text_column={column!r} of {origin} holds {type(value).__name__}, not "
                        f"text: choose a column of strings among {', '.join(map(repr, batch))}."
                    )
                yield value or ""


@contextmanager
def readable(origin: str, remedy: str) -> Iterator[None]:
    """Turn whatever the reading libraries raise into a DataError that names `origin` and says the remedy."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except DataError:
        raise
    except (DatasetsError, OSError, ValueError, TypeError, KeyError, EOFError, RecursionError, zlib.error) as error:
        cause = error.__cause__ or error
        first_line = next(iter(str(cause).splitlines()), "no message")
        raise DataError(f"{origin} cannot be read ({type(cause).__name__}: {first_line}): {remedy}") from error

"""One door to every source of text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scaling.data import botocore_docs, hub, local
from scaling.data.config import SourceConfig
from scaling.data.documents import Document, wikitext_articles


@dataclass(frozen=True)
class Source:
    """Text ready to be read, once for each call: `validation` is None where documents have to be held out.

    version: what pins the text (a package release, a hub revision, "local"); a prepared corpus carries it.
    """

    version: str
    train: Callable[[], Iterator[Document]]
    validation: Callable[[], Iterator[Document]] | None


def open_source(config: SourceConfig) -> Source:
    """Find the source; DataError at once where it cannot be reached, is missing, or is another version."""
    if config.kind == "botocore":
        botocore_docs.check_version(config)
        return Source(f"botocore {config.version}", botocore_docs.documents, None)
    if config.kind == "hub":
        opened = hub.open_dataset(config)
        version, train_rows, validation_rows = opened.version, opened.train, opened.validation
    else:
        version, train_rows, validation_rows = "local", *local.open_files(config)
    return Source(
        version,
        lambda: _documents(config, train_rows),
        None if validation_rows is None else lambda: _documents(config, validation_rows),
    )


def _documents(config: SourceConfig, rows: Callable[[], Iterator[str]]) -> Iterator[Document]:
    if config.document_unit == "wikitext_article":
        return wikitext_articles(rows())
    return (Document(row) for row in rows())

"""One door to every source of text."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from scaling.data import botocore_docs, google_docs, hub, local, python_sources, synthetic, wiki_intros
from scaling.data.config import SourceConfig
from scaling.data.documents import Document, wikitext_articles
from scaling.data.packages import require_release

Rows = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class Source:
    """Text ready to be read, once for each call: `validation` is None where documents have to be held out.

    version: what pins the text (a package release, a hub revision, "local"); a prepared corpus carries it.
    true_nats_per_byte: the text's exact entropy rate, where that is known.
    """

    version: str
    train: Callable[[], Iterator[Document]]
    validation: Callable[[], Iterator[Document]] | None
    true_nats_per_byte: float | None = None


def open_source(config: SourceConfig) -> Source:
    """Find the source; DataError at once where it cannot be reached, is missing, or is another version."""
    source, most = _whole(config), config.max_bytes
    return source if most is None else replace(source, train=lambda: _first(source.train(), most))


def _first(documents: Iterator[Document], max_bytes: int) -> Iterator[Document]:
    size = 0
    for document in documents:
        yield document
        size += len(document.text.encode("utf-8", "surrogatepass"))
        if size >= max_bytes:
            return


def _whole(config: SourceConfig) -> Source:
    match config.kind:
        case "botocore":
            require_release("botocore", str(config.version), "data.source.version")
            return Source(f"botocore {config.version}", lambda: botocore_docs.documents(set()), None)
        case "api_docs":
            require_release("botocore", str(config.version), "data.source.version")
            require_release("google-api-python-client", str(config.google_version), "data.source.google_version")
            version = f"botocore {config.version}, google-api-python-client {config.google_version}"
            return Source(version, _api_docs, None)
        case "wiki_intros":
            require_release(wiki_intros.PACKAGE, str(config.version), "data.source.version")
            return Source(f"{wiki_intros.PACKAGE} {config.version}", wiki_intros.documents, None)
        case "python_sources":
            return Source(f"Python {platform.python_version()}", python_sources.documents, None)
        case "synthetic":
            rate = synthetic.language(config).nats_per_byte
            version = f"synthetic language, seed {config.language_seed}"
            return Source(version, lambda: synthetic.documents(config), None, rate)
        case "hub":
            rows = hub.open_dataset(config)
            return _of_rows(config, rows.version, rows.train, rows.validation)
        case "local":
            return _of_rows(config, "local", *local.open_files(config))


def _api_docs() -> Iterator[Document]:
    seen_lines: set[str] = set()
    yield from botocore_docs.documents(seen_lines)
    yield from google_docs.documents(seen_lines)


def _of_rows(config: SourceConfig, version: str, train: Rows, validation: Rows | None) -> Source:
    return Source(
        version,
        lambda: _documents(config, train),
        None if validation is None else lambda: _documents(config, validation),
    )


def _documents(config: SourceConfig, rows: Rows) -> Iterator[Document]:
    if config.document_unit == "wikitext_article":
        return wikitext_articles(rows())
    return (Document(row) for row in rows())

"""English prose that a package index carries: the API documentation inside `botocore` (Apache-2.0).

It is reference prose made from templates, not encyclopaedia text, but it is real, large enough for small
models (28 MB), and needs no dataset hub. Each service is a document. Its latest API description is read,
every `documentation` string in it, markup stripped, one paragraph a line. A line that was seen before, in
whatever service, is dropped: templates repeat by the thousand, and no line can then stand on both sides of
the split.
"""

import gzip
import html
import json
import re
from collections.abc import Iterable, Iterator

from scaling.data.documents import Document
from scaling.data.packages import folder_of

_BLOCK = re.compile(
    r"</?(?:p|li|ul|ol|dl|dt|dd|br|div|pre|table|tr|td|th|h[1-6]|note|important|caution|warning|fullname)\b[^<>]*>",
    re.IGNORECASE,
)
_TAG = re.compile(r"<!--.*?-->|</?[a-z][^<>]*>", re.IGNORECASE | re.DOTALL)


def documents(seen_lines: set[str]) -> Iterator[Document]:
    """One document for each service, in alphabetical order, its key the service's name.

    Lines in `seen_lines` are dropped; those of the documents are added to it.
    """
    for service in sorted(path for path in (folder_of("botocore") / "data").iterdir() if path.is_dir()):
        descriptions = sorted(service.glob("*/service-2.json.gz"))  # folders are dates: the last is the latest
        if descriptions:
            description = json.loads(gzip.decompress(descriptions[-1].read_bytes()))
            lines = (line for markup in _documentation(description) for line in plain_lines(markup))
            yield Document("".join(line + "\n" for line in new_lines(lines, seen_lines)), service.name)


def plain_lines(markup: str) -> list[str]:
    """The paragraphs of a piece of HTML: no tags, entities unescaped, every run of white space one space."""
    blocks = _BLOCK.sub("\n", " ".join(markup.split()))
    text = html.unescape(_TAG.sub("", blocks))
    return [line for line in (" ".join(block.split()) for block in text.split("\n")) if line]


def new_lines(lines: Iterable[str], seen: set[str]) -> Iterator[str]:
    """The lines that are not in `seen`, each once; they are added to it."""
    for line in lines:
        if line not in seen:
            seen.add(line)
            yield line


def _documentation(node: object) -> Iterator[str]:
    """Every `documentation` string below `node`, in the order of the file."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "documentation" and isinstance(value, str):
                yield value
            else:
                yield from _documentation(value)
    elif isinstance(node, list):
        for item in node:
            yield from _documentation(item)

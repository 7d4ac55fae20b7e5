"""More API prose: the discovery documents inside `google-api-python-client` (Apache-2.0).

Each API is a document: every description in all its versions, one paragraph a line. The text is Markdown and is left as
it is. As with `botocore_docs`, which it is read after, a line that was seen before is dropped.
"""

import json
from collections.abc import Iterator
from itertools import groupby

from scaling.data.botocore_docs import new_lines
from scaling.data.documents import Document
from scaling.data.packages import folder_of


def documents(seen_lines: set[str]) -> Iterator[Document]:
    """One document for each API, in alphabetical order, its key `google:` and the API's name."""
    folder = folder_of("googleapiclient") / "discovery_cache" / "documents"
    files = sorted(folder.glob("*.json"), key=lambda file: (file.name.partition(".")[0], file.name))
    for api, versions in groupby(files, key=lambda file: file.name.partition(".")[0]):
        descriptions = (text for file in versions for text in _descriptions(json.loads(file.read_text("utf-8"))))
        lines = (" ".join(line.split()) for text in descriptions for line in text.split("\n"))
        prose = "".join(line + "\n" for line in new_lines(lines, seen_lines) if line)
        yield Document(prose, f"google:{api}")


def _descriptions(node: object) -> Iterator[str]:
    """Every string under `description` or in `enumDescriptions`, in the order of the file."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "description" and isinstance(value, str):
                yield value
            elif key == "enumDescriptions" and isinstance(value, list):
                yield from (text for text in value if isinstance(text, str))
            else:
                yield from _descriptions(value)
    elif isinstance(node, list):
        for item in node:
            yield from _descriptions(item)

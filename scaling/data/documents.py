"""Documents, the unit of deduplication and of the split, and how lines of WikiText are grouped into them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A text and the key that decides on which side of the split it falls.

    key: the source's own lasting name for it, or None where there is none; its normalised text is then its
    key.
    """

    text: str
    key: str | None = None


def wikitext_articles(lines: Iterable[str]) -> Iterator[Document]:
    """Group lines of WikiText into one document for each article.

    An article begins with a heading ` = Title = ` between two blank lines (a section's is ` = = Title = = `,
    and a line of a table may look like a title but has no blank lines around it). No line is dropped: every
    line, blank or not, ends with one line feed in exactly one document, so that words plus lines of all
    documents is WikiText's own token count.
    """
    article: list[str] = []
    previous, candidate = (
        "",
        False,
    )  # candidate: the last line of `article` is a heading if a blank line follows
    for line in _single_lines(lines):
        if candidate and not line.strip() and len(article) > 1 and any(text.strip() for text in article[:-1]):
            heading = article.pop()
            yield Document("".join(article))
            article = [heading]
        candidate = not previous.strip() and _looks_like_title(line)
        article.append(line + "\n")
        previous = line
    if article:
        yield Document("".join(article))


def _looks_like_title(line: str) -> bool:
    stripped = line.strip()
    return (
        len(stripped) > 4 and stripped.startswith("= ") and stripped.endswith(" =") and not stripped.startswith("= =")
    )


def _single_lines(lines: Iterable[str]) -> Iterator[str]:
    """The hub's rows end with a line feed unless they are blank; those of a text file never do."""
    for line in lines:
        yield line.removesuffix("\n")

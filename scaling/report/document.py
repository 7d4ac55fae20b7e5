"""The report as blocks of plain text, which Markdown, HTML and TensorBoard each write in their own way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from scaling.findings import Finding
from scaling.report.figures.plate import FigureGroup

Tone = Literal["good", "careful", "stop"]


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Verdict:
    """What may be concluded, in a few words and a sentence."""

    tone: Tone
    words: str
    sentence: str


@dataclass(frozen=True)
class Formula:
    """An equation; `^x` raises the number or name that follows."""

    text: str


@dataclass(frozen=True)
class Fact:
    """One number that decides: what it is, the number, and what to hold it against."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Facts:
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Column:
    heading: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of a row names it. A table with `sort_keys`, a number for each cell or None for
    text, can be sorted and filtered where its page has scripts."""

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    sort_keys: tuple[tuple[float | None, ...], ...] = ()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.name
        assert all(len(keys) == len(self.columns) for keys in self.sort_keys), self.name


MOST_LISTED = 2_000  # rows of a table on a page
Item = TypeVar("Item")


def listed(items: Sequence[Item], everything: str) -> tuple[list[Item], str]:
    """What a table on a page lists of many items, evenly spread, and the words for its caption, which name the file
    that has `everything`; all of them, and none, where there are no more than a page bears."""
    count = len(items)
    if count <= MOST_LISTED:
        return list(items), ""
    kept = [items[i * (count - 1) // (MOST_LISTED - 1)] for i in range(MOST_LISTED)]
    return kept, f" {MOST_LISTED:,} of {count:,} are listed, evenly spread; {everything} has all."


@dataclass(frozen=True)
class FindingList:
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Definitions:
    terms: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Quotation:
    """A file quoted in full, folded away, with a link to where it lies beside the report."""

    summary: str
    link: str
    text: str


Block = Paragraph | Verdict | Formula | Facts | Table | FindingList | FigureGroup | Definitions | Quotation


@dataclass(frozen=True)
class Section:
    name: str
    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    title: str
    question: str
    sections: tuple[Section, ...]
    kicker: str = "Scaling law of the study"

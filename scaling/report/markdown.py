"""The report as Markdown that reads well on its own and in a repository's browser."""

import re

from scaling.report.document import (
    Block,
    Column,
    Definitions,
    Document,
    Facts,
    FindingList,
    Formula,
    Paragraph,
    Quotation,
    Table,
    Verdict,
)
from scaling.report.figures.plate import FigureGroup
from scaling.report.numbers import sentence


def markdown(document: Document, *, figures: str | None = "figures") -> str:
    """`figures` is the folder of the pictures, relative to the file; None leaves them out (TensorBoard's text)."""
    parts = [f"# {escape(document.title)}", escape(document.question)]
    for section in document.sections:
        parts.append(f"## {section.heading}")
        parts += [text for block in section.blocks if (text := _block(block, figures))]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Plain text as Markdown: nothing in it becomes markup."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text.replace("&", "&amp;"))


def _block(block: Block, figures: str | None) -> str:
    match block:
        case Paragraph(text):
            return escape(text)
        case Verdict(_, words, reasons):
            return f"**{escape(words)}.** {escape(reasons)}"
        case Formula(text):
            return f"    {text}"
        case Facts(facts):
            return "\n".join(f"- {escape(f.label)}: **{escape(f.value)}** ({escape(f.note)})" for f in facts)
        case FindingList(found):
            return "\n".join(
                f"- **{f.level_words.upper()} {escape(f.name)}**: {escape(sentence(f.numbers))} "
                f"To do: {escape(sentence(f.remedy))} Source: {escape(sentence(f.source))}"
                for f in found
            )
        case Table():
            return _table(block)
        case FigureGroup():
            return "" if figures is None else _figure(block, figures)
        case Definitions(terms):
            return "\n".join(f"- **{escape(term)}**: {escape(meaning)}" for term, meaning in terms)
        case Quotation(summary, link, _):
            return f"[{escape(summary)}]({link})"


def _table(table: Table) -> str:
    rule = [_rule(column) for column in table.columns]
    lines = [[escape(column.heading) for column in table.columns], rule]
    lines += [[escape(cell).replace("\n", " ") for cell in row] for row in table.rows]
    return f"**{escape(table.title)}.** {escape(table.caption)}\n\n" + "\n".join(
        f"| {' | '.join(line)} |" for line in lines
    )


def _rule(column: Column) -> str:
    return "---:" if column.numeric else "---"


def _figure(group: FigureGroup, folder: str) -> str:
    pictures = "\n".join(f"![{escape(panel.alt)}]({folder}/{panel.name}.png)" for panel in group.panels)
    return f"### {escape(group.title)}\n\n{pictures}\n\n{escape(group.caption)}"

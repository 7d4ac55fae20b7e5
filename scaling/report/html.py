"""The report as one page that needs nothing but itself: no network, no script, figures inside."""

import re
from collections.abc import Mapping
from html import escape

from scaling.report.document import (
    Block,
    Definitions,
    Document,
    Fact,
    Facts,
    FindingList,
    Formula,
    Paragraph,
    Quotation,
    Section,
    Table,
    Verdict,
)
from scaling.report.figures.plate import FigureGroup, Picture
from scaling.report.figures.render import inline_svg
from scaling.report.page_style import STYLE

LONGEST_WORDS = 30  # characters that a cell shows without wrapping


def page(document: Document, pictures: Mapping[str, Picture]) -> str:
    """`pictures` by the name of their panel; a panel without one is left out."""
    links = "".join(f'<li><a href="#{s.name}">{escape(s.heading)}</a></li>' for s in document.sections)
    sections = "\n".join(_section(section, pictures) for section in document.sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(document.title)}: scaling law</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<p class="kicker">{escape(document.kicker)}</p>
<h1>{escape(document.title)}</h1>
<p class="question">{escape(document.question)}</p>
<nav aria-label="Contents"><ul>{links}</ul></nav>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def _section(section: Section, pictures: Mapping[str, Picture]) -> str:
    blocks = "\n".join(_block(block, pictures) for block in section.blocks)
    name = section.name
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(section.heading)}</h2>\n{blocks}\n</section>'


def _block(block: Block, pictures: Mapping[str, Picture]) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Verdict(tone, words, sentence):
            return f'<p class="verdict {tone}"><strong>{escape(words)}.</strong> {escape(sentence)}</p>'
        case Formula(text):
            return f'<p class="formula">{raised(text)}</p>'
        case Facts(facts):
            return f'<dl class="facts">{"".join(_fact(fact) for fact in facts)}</dl>'
        case FindingList():
            return _findings(block)
        case Table():
            return _table(block)
        case FigureGroup():
            return _figure(block, pictures)
        case Definitions(terms):
            items = "".join(f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in terms)
            return f'<dl class="terms">{items}</dl>'
        case Quotation(summary, link, text):
            return (
                f"<details><summary>{escape(summary)}</summary>"
                f'<p>The file is beside this report: <a href="{escape(link)}">{escape(link)}</a></p>'
                f'<pre tabindex="0">{escape(text)}</pre></details>'
            )


def raised(text: str) -> str:
    """`N^0.34` with a superscript."""
    return re.sub(r"\^(\w+(?:\.\d+)?)", r"<sup>\1</sup>", escape(text))


def _fact(fact: Fact) -> str:
    return (
        f'<div><dt>{escape(fact.label)}</dt><dd class="value">{raised(fact.value)}</dd>'
        f'<dd class="note">{raised(fact.note)}</dd></div>'
    )


def _findings(found: FindingList) -> str:
    items = "".join(
        f'<li class="{f.level}"><p><span class="level">{f.level_words.capitalize()}</span> '
        f"<strong>{escape(f.name)}</strong> {escape(f.numbers)}</p><p>To do: {escape(f.remedy)}</p>"
        f'<p class="source">Source: {escape(f.source)}</p></li>'
        for f in found.findings
    )
    return f'<ul class="findings">{items}</ul>'


def _table(table: Table) -> str:
    classes = [' class="number"' if column.numeric else "" for column in table.columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(column.heading)}</th>'
        for column, kind in zip(table.columns, classes, strict=True)
    )
    body = "\n".join(_row(row, classes) for row in table.rows)
    caption = f"table-{table.name}"
    return (
        f'<div class="scroll" role="region" aria-labelledby="{caption}" tabindex="0"><table>'
        f'<caption id="{caption}"><strong>{escape(table.title)}.</strong> {raised(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: tuple[str, ...], classes: list[str]) -> str:
    cells = "".join(
        f"<td{kind or _width(cell)}>{raised(cell)}</td>" for cell, kind in zip(row[1:], classes[1:], strict=True)
    )
    return f'<tr><th scope="row"{_width(row[0])}>{raised(row[0])}</th>{cells}</tr>'


def _width(cell: str) -> str:
    """Prose may wrap, but not to a column of single words; anything shorter stays on its line."""
    return ' class="prose"' if len(cell) > LONGEST_WORDS else ""


def _figure(group: FigureGroup, pictures: Mapping[str, Picture]) -> str:
    drawn = [
        f'<div class="panel">{inline_svg(pictures[panel.name].svg, panel.name, escape(panel.alt))}</div>'
        for panel in group.panels
        if panel.name in pictures
    ]
    return (
        f'<figure aria-labelledby="figure-{group.name}"><h3 id="figure-{group.name}">{escape(group.title)}</h3>'
        f'<div class="panels panels-{len(drawn)}">{"".join(drawn)}</div>'
        f"<figcaption>{escape(group.caption)}</figcaption></figure>"
    )

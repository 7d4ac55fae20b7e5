"""The report as one page that needs nothing but itself: no network, figures inside.

Without scripts, and on paper, it shows still pictures; with them, figures whose points say what they are, and tables
that sort and filter.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

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
from scaling.report.figures.render import inline
from scaling.report.page_style import STYLE

LONGEST_WORDS = 30  # characters that a cell shows without wrapping


def page(document: Document, pictures: Mapping[str, Picture], figures: Mapping[str, Any] | None = None) -> str:
    """`pictures` by the name of their panel; a panel without one is left out. `figures` is what `interactive` gives of
    the same panels, None for a page of still pictures."""
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
<script>document.documentElement.classList.add("scripted");</script>
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
{_scripts(figures)}
</body>
</html>
"""


def _scripts(figures: Mapping[str, Any] | None) -> str:
    """The page's own script, and plotly with its data where there are figures."""
    own = f"<script>{_asset('page.js')}</script>"
    if not figures or not figures["figures"]:
        return own
    # Inside a script element "</" might end it.
    data = json.dumps(figures, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return (
        f'<script type="application/json" id="figure-data">{data}</script>\n'
        f"<script>{_asset('plotly-basic.min.js')}</script>\n<script>{_asset('figures.js')}</script>\n{own}"
    )


@cache
def _asset(name: str) -> str:
    return files("scaling.report").joinpath("assets", name).read_text(encoding="utf-8")


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
    """`N^0.34`, `C^-c0` and `x^(1/s)` with a superscript."""
    text = re.sub(r"\^\(([^()]*)\)", r"<sup>\1</sup>", escape(text))
    return re.sub(r"\^(-?\w+(?:\.\d+)?)", r"<sup>\1</sup>", text)


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
    keys = table.sort_keys or ((),) * len(table.rows)
    body = "\n".join(_row(row, own, classes) for row, own in zip(table.rows, keys, strict=True))
    caption = f"table-{table.name}"
    sorts = f' class="sortable" data-name="{table.name}"' if table.sort_keys else ""
    return (
        f'<div class="scroll" role="region" aria-labelledby="{caption}" tabindex="0"><table{sorts}>'
        f'<caption id="{caption}"><strong>{escape(table.title)}.</strong> {raised(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: tuple[str, ...], keys: tuple[float | None, ...], classes: list[str]) -> str:
    sorts = ["" if key is None else f' data-key="{key:.12g}"' for key in keys] or [""] * len(row)
    cells = "".join(
        f"<td{kind or _width(cell)}{key}>{raised(cell)}</td>"
        for cell, kind, key in zip(row[1:], classes[1:], sorts[1:], strict=True)
    )
    return f'<tr><th scope="row"{_width(row[0])}{sorts[0]}>{raised(row[0])}</th>{cells}</tr>'


def _width(cell: str) -> str:
    """Prose may wrap, but not to a column of single words; anything shorter stays on its line."""
    return ' class="prose"' if len(cell) > LONGEST_WORDS else ""


def _figure(group: FigureGroup, pictures: Mapping[str, Picture]) -> str:
    drawn = [
        f'<div class="panel"><div class="still">'
        f"{inline(pictures[panel.name], panel.name, escape(panel.alt))}</div>"
        f'<div class="live" role="img" aria-label="{escape(panel.alt)}" data-figure="{panel.name}"></div></div>'
        for panel in group.panels
        if panel.name in pictures
    ]
    return (
        f'<figure aria-labelledby="figure-{group.name}"><h3 id="figure-{group.name}">{escape(group.title)}</h3>'
        f'<div class="panels panels-{len(drawn)}">{"".join(drawn)}</div>'
        f"<figcaption>{escape(group.caption)}</figcaption></figure>"
    )

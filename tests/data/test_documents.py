"""What a document is: articles of WikiText, prose of an API description, and how a text is cleaned."""

from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.botocore_docs import plain_lines
from scaling.data.documents import wikitext_articles
from scaling.data.normalisation import clean


def test_lines_are_grouped_into_articles() -> None:
    lines = [
        "",
        " = First = \n",
        "",
        " text \n",
        "",
        " = = Section = = \n",
        "",
        " more \n",
        " = Cell = \n",
        " of a table \n",
    ]
    lines += ["", " = Second = in brief = \n", "", " text \n"]
    first, second = (document.text for document in wikitext_articles(lines))
    assert first.startswith("\n = First = \n\n text \n")
    assert first.endswith(" of a table \n\n")
    assert second == " = Second = in brief = \n\n text \n"


@given(lines=st.lists(st.sampled_from(["", " ", " = A = ", " = = B = = ", " text ", "= C =", " = "]), max_size=40))
@settings(max_examples=200, deadline=None)
def test_grouping_loses_no_line(lines: list[str]) -> None:
    articles = [document.text for document in wikitext_articles(lines)]
    assert "".join(articles) == "".join(line + "\n" for line in lines)
    with_line_feeds = [document.text for document in wikitext_articles(line + "\n" for line in lines)]
    assert with_line_feeds == articles


def test_markup_becomes_paragraphs() -> None:
    markup = (
        '<p>Copies an <code>object</code>, see <a href="x">the\n  guide</a>.</p>'
        "<note><p>A &lt;tag&gt; &amp; more</p> </note><ul> <li> <p>one</p> </li> <li>2 < 3</li></ul><!-- hidden -->"
    )
    assert plain_lines(markup) == ["Copies an object, see the guide.", "A <tag> & more", "one", "2 < 3"]


@given(text=st.text())
@settings(max_examples=200, deadline=None)
def test_cleaning_is_idempotent_and_leaves_no_control(text: str) -> None:
    once = clean(text, normalise=True)
    again = clean(once.utf8.decode(), normalise=True)
    assert again.utf8 == once.utf8
    assert again.control_characters == 0
    assert not set(once.utf8) & {0, *range(1, 9), *range(11, 32), 127}


def test_surrogates_do_not_break_it() -> None:
    cleaned = clean("lone \ud800 and paired \ud83d\ude00", normalise=True)
    assert cleaned.utf8.decode() == "lone \ufffd and paired \U0001f600"
    assert cleaned.replacement_characters == 1

"""What commands say. A string is text, whoever wrote it: no markup, no emoji's name, no code that steers a terminal."""

import re
import sys
from functools import cache
from json import dumps
from typing import Any

from rich.console import Console
from rich.text import Text

# Control characters but for tab and newline, and those that reverse the direction of reading.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with what would steer a terminal written out, as in \\x1b."""
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


class PlainConsole(Console):
    """Also in the cells of tables, which rich would read as markup. Styles go beside a text, not into it."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)

    def on_broken_pipe(self) -> None:
        """Rich would exit with 1, as if something had failed: the command ends as those of a shell do."""
        raise BrokenPipeError

    def print_json(self, json: str | None = None, **options: Any) -> None:
        """For a program it is not looked through for colours, which takes longer than all else of a large study."""
        if self.is_terminal or json is not None:
            super().print_json(json, **options)
        else:
            self.file.write(dumps(options["data"], indent=2, ensure_ascii=False) + "\n")


@cache
def warn(words: str) -> None:
    """A line of its own, for people, and once in a command."""
    print(f"warn: {visible(words)}", file=sys.stderr, flush=True)

"""The commands of a Markdown page: every line of its `sh` blocks, as a shell would split it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

FENCE = re.compile(r"^ *```(\w*)")
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")


@dataclass(frozen=True)
class Shown:
    """One command of a page. `not_run` is the reason that stands in a comment above its block, `says` the lines of the
    `text` block that follows: of what the block's first command prints."""

    page: str
    line: int
    words: tuple[str, ...]
    not_run: str | None
    says: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return shlex.join(self.words)


def commands_of(page: Path, name: str) -> Iterator[Shown]:
    """With what the page says that each prints."""
    said = re.findall(r"```sh\n((?:(?!```).)*)```\n+```text\n(.*?)```", page.read_text(), flags=re.DOTALL)
    printed = {commands.strip().splitlines()[0]: tuple(text.splitlines()) for commands, text in said}
    for command in _commands(page, name):
        yield replace(command, says=printed.get(command.text, ()))


def _commands(page: Path, name: str) -> Iterator[Shown]:
    inside, pending, reason = False, "", None
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = FENCE.match(line)
        if fence:
            inside = not inside and fence[1] == "sh"
            reason = reason if inside else None
        elif inside and line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1]
        elif inside:
            lexer = shlex.shlex(pending + line, posix=True, punctuation_chars="&|;")
            lexer.whitespace_split, pending = True, ""
            yield from _split(list(lexer), Shown(name, number, (), reason))
        elif found := NOT_RUN.search(line):
            reason = found[1]
        elif line.strip():
            reason = None


def _split(words: list[str], at: Shown) -> Iterator[Shown]:
    """At `&&`; variables of the environment that come first are left out."""
    command: list[str] = []
    for word in [*words, "&&"]:
        if word != "&&":
            if command or not re.match(r"^[A-Z_]+=", word):
                command.append(word)
        elif command:
            yield Shown(at.page, at.line, tuple(command), at.not_run)
            command = []

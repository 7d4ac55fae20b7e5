"""`--help` and `--json` of every command, before Hydra sees the line: what it does, one example, its keys."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from scaling.keys import ANYWHERE, NOT_READ, ONLY


def with_flags_as_overrides(arguments: Sequence[str]) -> list[str]:
    """`--json` is `json=true`, for those who expect a flag."""
    return ["json=true" if argument == "--json" else argument for argument in arguments]


def asks_for_help(arguments: Sequence[str]) -> bool:
    return any(argument in ("--help", "-h") for argument in arguments)


def usage(about: str, configs: Path, config_name: str, command: str = "") -> str:
    """The command's own words with its example, the keys of its root config that it reads, the groups it composes.

    The keys are the YAML's own lines, whose comments explain them: this text cannot fall behind what is read.
    """
    root = (configs / f"{config_name}.yaml").read_text()
    lines = [about.strip(), "", "Keys, as key=value, with their defaults:", ""]
    lines += [f"  {line}" for line in _read_by(command, _keys(root))]
    choices: dict[str, list[str]] = defaultdict(list)
    for path in sorted(configs.rglob("*/*.yaml")):
        choices[path.parent.relative_to(configs).as_posix()].append(path.stem)
    only = ONLY.get(command)
    groups = [group for group in choices if f" {group}:" in root and (only is None or group in only)]
    if groups:
        lines += [
            "",
            "Groups, as group=choice; their keys as group.key=value, which --help GROUP explains:",
            "",
        ]
        lines += [f"  {group:<14} {', '.join(choices[group])}" for group in groups]
    lines += ["", "--json is json=true. --cfg job prints the composed config, --hydra-help Hydra's own help."]
    return "\n".join(lines)


def _read_by(command: str, lines: Iterable[str]) -> Iterator[str]:
    """Without the keys, and what is below them, that the command does not read."""
    only, never = ONLY.get(command), set(NOT_READ.get(command, ()))
    kept = True
    for line in lines:
        if not line.startswith(" "):
            key = line.partition(":")[0]
            kept = key not in never and (only is None or key in only | ANYWHERE)
        if kept:
            yield line


def _keys(root: str) -> Iterator[str]:
    """The lines of a root config that a user may set: neither its defaults list nor Hydra's own section."""
    own = False
    for line in root.splitlines():
        if line and not line.startswith((" ", "#")):
            own = not line.startswith(("defaults:", "hydra:"))
        if own and line.strip():
            yield line

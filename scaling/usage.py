"""`--help` and `--json` of every command, before Hydra sees the line: what it does, one example, its keys."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path


def with_flags_as_overrides(arguments: Sequence[str]) -> list[str]:
    """`--json` is `json=true`, for those who expect a flag."""
    return ["json=true" if argument == "--json" else argument for argument in arguments]


def asks_for_help(arguments: Sequence[str]) -> bool:
    return any(argument in ("--help", "-h") for argument in arguments)


def usage(about: str, configs: Path, config_name: str) -> str:
    """The command's own words with its example, the keys of its root config, the groups it composes.

    The keys are the YAML's own lines, whose comments explain them: this text cannot fall behind what is read.
    """
    root = (configs / f"{config_name}.yaml").read_text()
    lines = [about.strip(), "", "Keys, as key=value, with their defaults:", ""]
    lines += [f"  {line}" for line in _keys(root)]
    choices: dict[str, list[str]] = defaultdict(list)
    for path in sorted(configs.rglob("*/*.yaml")):
        choices[path.parent.relative_to(configs).as_posix()].append(path.stem)
    groups = [group for group in choices if f" {group}:" in root]
    if groups:
        lines += ["", "Groups, as group=choice, with their keys as group.key=value:", ""]
        lines += [f"  {group:<14} {', '.join(choices[group])}" for group in groups]
    lines += ["", "--json is json=true. --cfg job prints the composed config, --hydra-help Hydra's own help."]
    return "\n".join(lines)


def _keys(root: str) -> Iterator[str]:
    """The lines of a root config that a user may set: neither its defaults list nor Hydra's own section."""
    own = False
    for line in root.splitlines():
        if line and not line.startswith((" ", "#")):
            own = not line.startswith(("defaults:", "hydra:"))
        if own and line.strip():
            yield line

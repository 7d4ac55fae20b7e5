"""Every key of a study, made from the schema: kind, default and bounds as the program has them, and what it means.

`python -m scaling.plan --help grid` prints a group's; docs/keys.md has them all (a test holds it to this).
"""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from scaling.bounds import BOUNDS
from scaling.config import StudyConfig
from scaling.config_folder import config_folder
from scaling.meanings import MEANINGS

GROUPS = ("grid", "model", "recipe", "data", "runtime", "launch", "fit", "power", "time_model")
KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


@dataclasses.dataclass(frozen=True)
class Key:
    """`path` has [] where a list stands; `default` is that of the default study, or of an item of its list."""

    path: str
    kind: str
    default: str
    within: str
    meaning: str


def keys_of(group: str) -> Iterator[Key]:
    """The keys of a group, in the order of its schema."""
    hint = typing.get_type_hints(StudyConfig)[group]
    yield from _keys(hint, group, _default_of(group))


def _default_of(group: str) -> Any:
    root = OmegaConf.load(config_folder() / "sweep.yaml")
    assert isinstance(root, DictConfig)
    chosen = {str(k): v for entry in root.defaults if isinstance(entry, DictConfig) for k, v in entry.items()}
    if group in chosen:
        root = OmegaConf.create({group: OmegaConf.load(Path(config_folder()) / group / f"{chosen[group]}.yaml")})
    return OmegaConf.to_container(root, resolve=False)[group]  # type: ignore[call-overload, index]


def _keys(kind: Any, at: str, default: Any) -> Iterator[Key]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        path, hint = f"{at}.{field.name}", hints[field.name]
        value = default.get(field.name, _own(field)) if isinstance(default, dict) else _own(field)
        inner = next((k for k in (hint, *_parts(hint)) if dataclasses.is_dataclass(k)), None)
        listed = any(typing.get_origin(k) is tuple and inner in typing.get_args(k) for k in (hint, *_parts(hint)))
        path += "[]" * (listed and inner is not None)
        if inner is None:
            bound = BOUNDS.get(path) or BOUNDS.get(f"{path}[]")
            yield Key(path, _kind(hint), _shown(value), "" if bound is None else bound.words, MEANINGS.get(path, ""))
        elif path not in ("data.validation_sets[].source",):  # which is a data.source again
            yield from _keys(inner, path, None if listed else value)


def _parts(hint: Any) -> Iterator[Any]:
    for part in typing.get_args(hint):
        yield part
        yield from _parts(part)


def _own(field: "dataclasses.Field[Any]") -> Any:
    return None if field.default is dataclasses.MISSING else field.default


def _kind(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(map(str, arguments))
    if origin is tuple:
        return f"list of {_kind(arguments[0])}s"
    if arguments:
        return " or ".join("null" if part is type(None) else _kind(part) for part in arguments)
    return KINDS.get(hint, str(getattr(hint, "__name__", hint)))


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(map(_shown, value)) + "]"
        return text if len(text) <= 60 else "[...]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def help_of(group: str) -> str:
    """For a terminal."""
    lines = [f"Keys of {group}, as {group}.key=value:", ""]
    for key in keys_of(group):
        lines.append(f"  {key.path} = {key.default}")
        within = f"; {key.within}" if key.within else ""
        lines.append(f"      {key.meaning} ({key.kind}{within})")
    choices = sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))
    if choices:
        lines += ["", f"Choices, as {group}=choice: {', '.join(choices)}"]
    return "\n".join(lines)


def page() -> str:
    """docs/keys.md."""
    lines = [
        "# Every key of a study", "",
        "Made from the schema by `python -m scaling.reference`; `python -m scaling.plan --help grid` prints those of a",
        "group on a terminal. Defaults are the default study's; the root's keys: `python -m scaling.sweep --help`.",
        "",
    ]  # fmt: skip
    for group in GROUPS:
        lines += [f"## {group}", "", "| key | default | kind | within | meaning |", "| --- | --- | --- | --- | --- |"]
        for key in keys_of(group):
            cells = (f"`{key.path}`", f"`{key.default}`", key.kind, key.within, key.meaning)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")

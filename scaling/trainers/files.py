"""Private copies of a program's files, with some values set and some text replaced, each found once or refused."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.trainers.expressions import Names, fill, home, value_of
from scaling.trainers.program import FileOptions
from scaling.values import shown


class FileMismatch(ValueError):
    """A value or a text that is not in the file once; the message names it."""


def content_of(name: str, options: FileOptions, names: Names) -> str:
    """What `name` holds for a point. Raises FileMismatch, ExpressionError, OSError."""
    text = "" if options.source is None else Path(home(fill(options.source, names))).read_text()
    values = {key: _filled(value, names) for key, value in options.set.items()}
    if values:
        text = _with_values(name, text, values, new=options.source is None)
    for old, new in options.replace.items():
        count = text.count(old)
        if count != 1:
            raise FileMismatch(f"trainer.files.{name}: {shown(old)} is there {count} times; it must be there once")
        text = text.replace(old, fill(new, names))
    return text


def _filled(value: Any, names: Names) -> Any:
    return [value_of(item, names) for item in value] if isinstance(value, tuple) else value_of(value, names)


def _with_values(name: str, text: str, values: Mapping[str, Any], *, new: bool) -> str:
    suffix = Path(name).suffix
    if suffix == ".json":
        return json.dumps(_set_keys(name, {} if new else json.loads(text), values, new=new), indent=1) + "\n"
    if suffix in (".yaml", ".yml"):
        import yaml  # type: ignore[import-untyped]  # its stubs would be a dependency for two calls

        plain = _set_keys(name, {} if new else yaml.safe_load(text), values, new=new)
        return str(yaml.safe_dump(plain, sort_keys=False))
    if suffix == ".toml":
        return _set_toml(name, text, values, new=new)
    if suffix == ".py" and not new:
        for key, value in values.items():
            text = _set_assignment(name, text, key, value)
        return text
    raise FileMismatch(f"trainer.files.{name}: set knows .json, .yaml, .toml and the assignments of a .py with from=")


def _set_keys(name: str, plain: Any, values: Mapping[str, Any], *, new: bool) -> Any:
    for key, value in values.items():
        *parents, last = key.split(".")
        at = plain
        for part in parents:
            if new:
                at = at.setdefault(part, {})
            else:
                at = at.get(part) if isinstance(at, dict) else None
        if not isinstance(at, dict) or (not new and last not in at):
            raise FileMismatch(f"trainer.files.{name} has no key {key}")
        at[last] = value
    return plain


def _set_toml(name: str, text: str, values: Mapping[str, Any], *, new: bool) -> str:
    for key, value in values.items():
        *parents, last = key.split(".")
        written = f"{last} = {json.dumps(value)}"
        if new:
            head = f"[{'.'.join(parents)}]\n" if parents and f"[{'.'.join(parents)}]\n" not in text else ""
            text += f"{head}{written}\n"
            continue
        table, lines, found = "", text.split("\n"), []
        for at, line in enumerate(lines):
            if header := re.fullmatch(r"\s*\[([^\[\]]+)\]\s*(#.*)?", line):
                table = header[1].strip()
            elif table == ".".join(parents) and re.match(rf"\s*{re.escape(last)}\s*=", line):
                found.append(at)
        if len(found) != 1:
            raise FileMismatch(f"trainer.files.{name} has the key {key} {len(found)} times; it must be there once")
        lines[found[0]] = written
        text = "\n".join(lines)
    return text


def _set_assignment(name: str, text: str, key: str, value: Any) -> str:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise FileMismatch(f"trainer.files.{name} is no Python that this interpreter reads: {error}") from None
    found: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [node.value for target in targets if isinstance(target, ast.Name) and target.id == key]
    if len(found) != 1 or found[0] is None:
        raise FileMismatch(f"trainer.files.{name} assigns {key} {len(found)} times; it must be there once")
    old, lines = found[0], text.encode().splitlines(keepends=True)
    assert old.end_lineno is not None
    before = b"".join(lines[: old.lineno - 1]) + lines[old.lineno - 1][: old.col_offset]
    after = lines[old.end_lineno - 1][old.end_col_offset :] + b"".join(lines[old.end_lineno :])
    return (before + repr(value).encode() + after).decode()

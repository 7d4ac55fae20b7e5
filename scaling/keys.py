"""Which keys each command reads. What it would not read is refused, since a number that nobody looks at misleads."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.names import nearest_path

ANYWHERE = {"json", "debug", "experiment", "hydra"}
# Commands on a study that is there. They take its other keys too where those say what it was made with, so that the
# line of its sweep serves them: `scaling.config.require_as_stored`.
OF_A_STUDY = ("status", "truth", "fit")
# Commands that read few of the keys of their root.
ONLY = {
    "status": {"study", "runs"},
    "truth": {"study", "runs"},
    "prepare": {"data", "cache"},
    "fit": {"study", "runs", "cache", "question", "data", "fit", "force", "power", "sinks"},
    "plan next=": {"next", "flops", "power", "force"},
}
SEARCHED = {"size", "tokens", "space", "sampler", "trials", "pruner", "evaluations", "finalists", "sampler_seed"}
HOURS = dict.fromkeys(
    ("gpu_hours", "gpus", "sizes"), "`python -m scaling.plan gpu_hours=...` reads it, and chooses a grid by it"
)
READING = {"columns", "loss_unit", "decimal", "where", "ignore", "duplicates"}
# Keys that a command does not read, and what does.
NOT_READ = {
    "plan gpu_hours=": dict.fromkeys(("next", "flops", "until", "max_flops", "point", "run"), "hours choose a grid")
    | {"grid": "hours choose sizes, budgets and seeds; of the grid only grid.seed is read"},
    "plan": {
        **dict.fromkeys(("gpus", "sizes"), "it goes with gpu_hours="),
        "point": "a plan lists all points; `python -m scaling.train point=...` trains one",
        "run": "`python -m scaling.train` reads it",
        "until": "`python -m scaling.sweep until=... dry_run=true` plans a round",
        "max_flops": "`python -m scaling.sweep until=... dry_run=true` plans a round; grid.max_flops leaves points out",
        "flops": "it is what the points of next=runs/STUDY may cost; grid.max_flops leaves points out",
    },
    "sweep": HOURS
    | {
        "run": "launchers hand it to `python -m scaling.train`",
        "next": "`python -m scaling.plan next=...` proposes points",
        "flops": "`python -m scaling.plan next=... flops=...` reads it; max_flops with until= ends rounds",
    },
    "train": HOURS
    | {
        "next": "`python -m scaling.plan next=...` proposes points",
        "flops": "`python -m scaling.plan next=... flops=...` reads it",
        "until": "`python -m scaling.sweep until=...` adds points",
        "max_flops": "`python -m scaling.sweep until=... max_flops=...` reads it",
    },
    "tune": HOURS
    | dict.fromkeys(("point", "run", "next", "flops", "until", "max_flops"), "it is of a sweep")
    | {"multiples": "they are of corners=true"},
    "tune corners=true": dict.fromkeys(SEARCHED, "corners=true searches nothing"),
    "recommend study=": dict.fromkeys(READING, "it says how a table is read, and a study's records need no such word"),
    "recommend source=": {"runs": "it says where studies are"},
    "compare studies": dict.fromkeys(
        (*READING, "convention_a", "convention_b", "force"),
        "it says how a table is read, and a study's records need no such word",
    ),
}


def typed_keys(arguments: Sequence[str]) -> dict[str, str]:
    """The overrides of a command line, by key: as typed, without the signs of addition and of another package."""
    found = {}
    for argument in arguments:
        key, sign, value = argument.partition("=")
        if sign and not argument.startswith("-"):
            found[key.lstrip("+~").partition("@")[0]] = value
    return found


def as_used(command: str, typed: Mapping[str, str]) -> str:
    """What is asked of the command, where its keys make a difference to what it reads."""
    if command == "plan" and typed.get("gpu_hours", "null") != "null":
        return "plan gpu_hours="
    if command == "plan" and typed.get("next", "null") != "null":
        return "plan next="
    if command == "tune" and typed.get("corners", "false").lower() == "true":
        return "tune corners=true"
    if command == "recommend" and typed.get("study", "null") != "null":
        return "recommend study="
    if command == "recommend" and typed.get("source", "null") != "null":
        return "recommend source="
    if command == "compare" and Path(typed.get("a", "")).is_dir() and Path(typed.get("b", "")).is_dir():
        return "compare studies"
    return command


def reads(command: str) -> str:
    return f"it reads {', '.join(sorted(ONLY[command] | ANYWHERE - {'hydra'}))}"


def not_read(command: str, arguments: Sequence[str]) -> str | None:
    """Of the first key that the command would not read, or folder of configs that is not there, a message."""
    typed = typed_keys(arguments)
    use = as_used(command, typed)
    for key in () if use in OF_A_STUDY else typed:
        top = key.replace("/", ".").partition(".")[0]
        why = None if key == "grid.seed" else NOT_READ.get(use, {}).get(top)
        if use in ONLY and top not in ONLY[use] | ANYWHERE:
            why = why or f"{reads(use)}"
        if use == "sweep" and top == "max_flops" and typed.get("until", "null") == "null":
            why = "it ends the rounds of until=, which is not given; grid.max_flops leaves points out"
        if use in ("sweep", "train") and top == "columns" and typed.get("dry_run", "false").lower() != "true":
            why = "it is of a plan: `python -m scaling.plan columns=all`"
        if why is not None:
            return f"{key} is given, and `python -m scaling.{use}` does not read it: {why}"
    return next(_absent_folders(typed.get("hydra.searchpath", "")), None)


def _absent_folders(searchpath: str) -> Iterator[str]:
    """Hydra passes over a folder that is not there, and with it over what it was to hold."""
    for item in searchpath.strip("[]").split(","):
        address = item.strip().strip("'\"")
        folder = Path(address.removeprefix("file://"))
        if not address or "://" in str(address.removeprefix("file://")):
            continue
        if not folder.is_dir():
            yield f"hydra.searchpath is {address}, and no such folder exists; {nearest_path(folder)}"


def key_paths(kind: Any, at: str = "") -> Iterator[str]:
    """Every key of a config's dataclass and of those within it."""
    for name, hint in typing.get_type_hints(kind).items():
        yield f"{at}{name}"
        for part in typing.get_args(hint) or (hint,):
            if dataclasses.is_dataclass(part):
                yield from key_paths(part, f"{at}{name}.")

"""Configs with numbers that are none, texts where numbers are due, and keys that nobody knows."""

import copy
import io
import math
import re
import signal
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from omegaconf import OmegaConf

from scaling.bounds import BOUNDS, pattern
from scaling.command import explain
from scaling.config import ConfigError, recommend_options, study_config, table_options, tune_config
from scaling.folders import FolderError
from scaling.stages.sweeping import dry_run
from tests.fuzz.process import MOST_MEGABYTES, MOST_WAITING, Ended, forked, strict_json
from tests.test_configs import load_root

ROOTS = {"sweep": study_config, "fit": table_options, "recommend": recommend_options, "tune": tune_config}
LARGEST_MESSAGE = 2_000
ODD: list[Any] = [
    math.nan, math.inf, -math.inf, "1e400", "nan", "-inf", -0.0, 0, -1, 1, 2, 0.5, 1.5, 1e-320, 1e300, -1e300, 2**63,
    10**40, 10**400, True, False, None, "", " ", "auto", "null", "1,5", "٣", "x" * 100_000, "[]", [], [1], [[1]], {},
    {"a": 1}, [None], ["x"], [math.nan], "${runs}", "\x00", "../..", "[red]", 1e15, 3e7, 1e-9,
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A root and what is put into it, by path."""

    root: str
    changes: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.root} " + " ".join(f"{path}={_short(value)}" for path, value in self.changes)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:60]}... ({len(text)})"


class Composed:
    """The roots as Hydra composes them, once; a case is put into a copy."""

    def __init__(self, folder: Path) -> None:
        where = [f"runs={folder / 'runs'}", f"cache={folder / 'cache'}"]
        self._plain = {
            "sweep": _plain(load_root("sweep", *where)),
            "fit": _plain(load_root("fit", f"source={folder / 'points.csv'}", f"out={folder / 'out'}")),
            "recommend": _plain(load_root("recommend", f"runs={folder / 'runs'}", "study=default", "flops=1e15")),
            "tune": _plain(load_root("tune", *where)),
        }
        self._paths = {root: list(_paths(plain, "")) for root, plain in self._plain.items()}

    def draw(self, random: Random) -> Case:
        root = random.choices(list(ROOTS), [6, 1, 1, 1])[0]
        changes = []
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            path = random.choice(self._paths[root])
            if random.random() < 0.05:
                path += random.choice([".unknown", "[7]", "s"])
            changes.append((path, self._value(random, path)))
        return Case(root, tuple(changes))

    @staticmethod
    def _value(random: Random, path: str) -> Any:
        """An odd one, or one about the ends of what the key may be."""
        bound = BOUNDS.get(pattern(path))
        if bound is None or random.random() < 0.4:
            return random.choice(ODD)
        usual = float(bound.example)
        near, far = (usual * 10 ** random.uniform(-reach, reach) for reach in (1, 12))
        value = random.choice([bound.low, bound.high, usual, near, near, far, -usual])
        return int(value) if random.random() < 0.5 and math.isfinite(value) else value

    def config(self, case: Case) -> Any:
        plain = copy.deepcopy(self._plain[case.root])
        for path, value in case.changes:
            _put(plain, path, value)
        return OmegaConf.create(plain, flags={"allow_objects": True})


def _plain(composed: Any) -> Any:
    return OmegaConf.to_container(composed, resolve=True)


def _paths(plain: Any, where: str) -> Any:
    if isinstance(plain, dict):
        for key, item in plain.items():
            if key != "hydra":
                yield f"{where}.{key}".lstrip(".")
                yield from _paths(item, f"{where}.{key}".lstrip("."))
    elif isinstance(plain, list):
        for i, item in enumerate(plain):
            yield f"{where}[{i}]"
            yield from _paths(item, f"{where}[{i}]")


def _put(plain: Any, path: str, value: Any) -> None:
    keys: list[Any] = [int(part[1:-1]) if part[0] == "[" else part for part in re.findall(r"\[\d+\]|[^.\[\]]+", path)]
    for key in keys[:-1]:
        try:
            plain = plain[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(plain, dict):
        plain[keys[-1]] = value
    elif isinstance(plain, list) and isinstance(keys[-1], int):
        plain[keys[-1] : keys[-1] + 1] = [value]


def judge(composed: Composed, case: Case) -> str | None:
    """What is wrong with what becomes of a case; None where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            config = ROOTS[case.root](composed.config(case))  # type: ignore[operator]
            if case.root != "sweep":
                return None
            code = dry_run(_in_json(config))
    except (ConfigError, FolderError, OSError) as error:  # which every command tells in one paragraph
        return _bad_words(explain(error))
    except Exception:  # noqa: BLE001 - any other is the finding
        return traceback.format_exc()[-1500:]
    if code not in (0, 2):
        return f"exit code {code}"
    return _nonsense(out.getvalue())


def _in_json(config: Any) -> Any:
    return replace(config, json=True, calibrate=False, dry_run=True)


def _bad_words(words: str) -> str | None:
    if not words.strip() or len(words) > LARGEST_MESSAGE:
        return f"a message of {len(words)} characters: {words[:200]}"
    return None


def _nonsense(text: str) -> str | None:
    try:
        plan = strict_json(text)
    except ValueError as error:
        return f"the plan is no JSON: {error}"
    for point in plan["points"]:
        for name in ("tokens", "steps", "params", "flops", "nominal_tokens"):
            if not (isinstance(point[name], int | float) and 0 < point[name] < 1e60):
                return f"the plan has a point whose {name} is {point[name]}"
        seconds = point["estimated_seconds"]
        if seconds is not None and not 0 <= seconds < math.inf:
            return f"the plan has a point of {seconds} s"
    return None if plan["points"] else "the plan has no points"


def run(composed: Composed, cases: list[Case]) -> tuple[Ended, list[str]]:
    """Judge cases in one child; what was found, in words."""

    def body() -> None:
        for i, case in enumerate(cases):
            signal.alarm(MOST_WAITING)
            print(f"case {i}", flush=True)
            found = judge(composed, case)
            if found is not None:
                print(f"FOUND {i} {found!r}", flush=True)

    ended = forked(body)
    found = [f"{cases[int(i)]}: {words}" for i, words in re.findall(r"^FOUND (\d+) (.*)$", ended.out, re.MULTILINE)]
    if ended.code != 0 or ended.megabytes > MOST_MEGABYTES:
        at = int(re.findall(r"^case (\d+)$", ended.out, re.MULTILINE)[-1])
        found.append(f"{cases[at]}: code {ended.code}, {ended.megabytes:.0f} MB: {ended.err[-1000:]}")
    return ended, found

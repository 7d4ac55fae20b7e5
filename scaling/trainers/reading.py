"""What a program has left so far: every number that `trainer.read` names, over all starts of a run; and whether the
loss among them is a final one."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.trainers.config import TrainerConfig
from scaling.trainers.expressions import UnknownName, names_in, value_of
from scaling.trainers.names import POINT_LOG
from scaling.trainers.places import KINDS, Reading, clean_lines, number, read_place

TOLERANCE = 0.005  # of N and D between plan and program, beside half of a printed digit
NATS = {"nats/token": 1.0, "bits/token": math.log(2.0), "bits/byte": math.log(2.0)}

Found = dict[str, list[Reading]]


def read_all(trainer: TrainerConfig, lines: Sequence[str], run_folder: Path, names: Mapping[str, Any]) -> Found:
    """Every reading, by name, in the order of its writing; of a program that logs its point itself, those too.

    Raises PlaceError, ExpressionError.
    """
    found: Found = {}
    for row in _logged(run_folder / POINT_LOG):
        step = number(row.pop("step", None))
        for name, value in row.items():
            if (read := number(value)) is not None:
                found.setdefault(name, []).append(Reading(read[0], None if step is None else step[0], read[1]))
    places = dict(trainer.read)
    for name, value in trainer.validation.items():
        if isinstance(value, str) and name != "name":
            places.setdefault(f"validation.{name}" if name in ("tokens", "bytes") else name, value)
    for name, place in places.items():
        if place.partition(":")[0] in KINDS:
            for key, readings in read_place(name, place, list(lines), names).items():
                if key != "step" or name == "step" or name == "loss":
                    found.setdefault(key, []).extend(readings)
    if "step" in places:  # of its own, not of the lines of a loss
        found["step"] = read_place("step", places["step"], list(lines), names).get("step", [])
    for name, place in places.items():
        if place.startswith("{"):
            found[name] = _worked_out(place, found, names)
    return {name: readings for name, readings in found.items() if readings}


def _worked_out(template: str, found: Found, names: Mapping[str, Any]) -> list[Reading]:
    """Arithmetic over one series at each of its readings; over several, or the step alone, over the last of each."""
    used = [name for name in names_in(template) if name in found and name not in names]
    series = [name for name in used if name != "step"]
    losses = [reading for reading in found.get("loss", ()) if reading.step is not None]
    last = {name: found[name][-1].value for name in used}
    if "step" in last and losses and losses[-1].step is not None:
        last["step"] = losses[-1].step
    readings = found[series[0]] if len(series) == 1 and "step" not in used else [None]
    answers = []
    for reading in readings:
        at = last if reading is None else {**last, series[0]: reading.value}
        try:
            value = float(value_of(template, {**names, **_whole(at)}))
            off = 0.0
            if reading is not None and reading.half_digit:
                off = abs(float(value_of(template, {**names, series[0]: reading.value + reading.half_digit})) - value)
        except UnknownName:
            return []  # not read yet
        answers.append(Reading(value, None if reading is None else reading.step, off))
    return answers


def _whole(values: Mapping[str, float]) -> dict[str, float]:
    return {name: int(value) if value.is_integer() else value for name, value in values.items()}


def _logged(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)  # also with a NaN, which a loss may be
        except ValueError:
            continue  # a line that a killed process did not finish
        if isinstance(row, dict):
            rows.append(row)
    return rows


@dataclass(frozen=True)
class Plan:
    """What a program was asked for, in its own units."""

    steps: int
    tokens: int
    params: int


def final_loss(found: Found, plan: Plan, *, ended_well: bool) -> Reading | None:
    """The loss at the planned step; within half a percent of the planned steps or tokens, or where nothing tells how
    far it came, only of a start that has ended by itself with exit code 0 (`ended_well`)."""
    losses = found.get("loss", [])
    if not losses:
        return None
    stepped = [reading for reading in losses if reading.step is not None]
    if stepped:
        exact = [reading for reading in stepped if reading.step == plan.steps]
        near = [r for r in stepped if r.step is not None and abs(r.step / plan.steps - 1.0) <= TOLERANCE]
        counted = exact or (near if ended_well else [])
        return counted[-1] if counted else None
    if found.get("step"):
        step = found["step"][-1].value
        there = step == plan.steps or (ended_well and abs(step / plan.steps - 1.0) <= TOLERANCE)
        return losses[-1] if there else None
    return losses[-1] if ended_well else None


def off_plan(found: Found, plan: Plan) -> str | None:
    """Why this is another point than was planned: N or D differ by half a percent and half a printed digit."""
    for name, wanted, words in (("params", plan.params, "parameters"), ("tokens", plan.tokens, "tokens")):
        if name in found:
            read = found[name][-1]
            if not abs(read.value - wanted) <= TOLERANCE * wanted + read.half_digit:
                remedy = "trainer.describe" if name == "params" else "trainer.multiples, or what the command is told"
                return f"it has {read.value:,.0f} {words} where {wanted:,} were planned: mend {remedy}"
    return None


def furthest_step(found: Found) -> float | None:
    steps = [reading.step for readings in found.values() for reading in readings if reading.step is not None]
    steps += [reading.value for reading in found.get("step", ())]
    return max(steps, default=None)


def last(found: Found, name: str) -> float | None:
    return found[name][-1].value if found.get(name) else None


def validation_number(trainer: TrainerConfig, found: Found, name: str) -> float | None:
    """tokens or bytes of the validation text, as given or as read."""
    given = trainer.validation.get(name)
    if isinstance(given, int | float):
        return float(given)
    if isinstance(given, str) and (plain := number(given)) is not None:
        return plain[0]
    return last(found, f"validation.{name}")


def as_nats(loss: float, unit: str, bytes_per_token: float | None) -> float:
    """Nats/token; of bits/byte without a known text, nats/byte. A perplexity that is no number is no loss either."""
    if unit == "perplexity":
        return math.log(loss) if loss > 0 else math.nan
    return loss * NATS[unit] * (bytes_per_token or 1.0 if unit == "bits/byte" else 1.0)


def lines_of(path: Path, offset: int = 0) -> list[str]:
    """A program's output from a byte on, cleaned."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return clean_lines(file.read().decode(errors="replace"))
    except OSError:
        return []

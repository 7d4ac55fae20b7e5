"""A saved fits.json, asked again: its forecaster answers without the rows and without a fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.analysis.config import AskOptions, Targets
from scaling.config import ConfigError
from scaling.laws.analysis import PointForecast, forecast_points
from scaling.laws.backtest import Best, Forecaster
from scaling.laws.payload import SCHEMA, best_payload, point_payload
from scaling.laws.stored import stored_forecaster
from scaling.numbers import scientific
from scaling.values import ValueMismatch, read_plain

Json = dict[str, Any]


def stored_law(source: str) -> Json | None:
    """The content of a fits.json; None of any other file. Raises OSError."""
    path = Path(source)
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        content = read_plain(path)
    except ValueMismatch:
        return None  # a table in JSON lines, say
    return content if isinstance(content, dict) and {"schema", "fits", "selected"} <= content.keys() else None


@dataclass(frozen=True)
class StoredAnswer:
    """What was asked of a saved law: budgets with the loss at their best N and D, and points; `largest` FLOPs (6 N D)
    were fitted."""

    largest: float
    budgets: tuple[tuple[Best, PointForecast], ...]
    points: tuple[PointForecast, ...]

    @property
    def farthest(self) -> float:
        """The most compute that was asked for, over the most that was fitted."""
        asked = [best.flops for best, _ in self.budgets] + [6 * at.params * at.tokens for at in self.points]
        return max(asked) / self.largest

    def payload(self, source: str) -> Json:
        """As a fits.json has them."""
        return {
            "schema": SCHEMA,
            "source": source,
            "forecasts": [best_payload(best, there) for best, there in self.budgets],
            "points": [point_payload(point) for point in self.points],
        }


def ask(content: Mapping[str, Any], options: AskOptions) -> StoredAnswer:
    """Raises ConfigError: nothing is asked, what is stored cannot answer, or a check refused it."""
    source, targets = options.source, Targets.of(options.targets)
    if not targets.flops and not targets.points:
        raise ConfigError(
            f"{source} holds laws that are fitted already, and nothing is asked of them: add "
            "targets.points=[[7e9,1e12]] (N and D) or targets=[1e22] (FLOPs)"
        )
    asked = stored(source, content)
    budgets: list[tuple[Best, PointForecast]] = []
    line, asked_points = asked.line, targets.points
    if line is not None:
        asked_points = (*map(line.at, targets.flops or ()), *asked_points)
    for flops in (targets.flops or ()) if line is None else ():
        best = asked.best(flops, options.level)
        if best is None:
            raise ConfigError(
                f"{source} has no N of least loss at {scientific(flops)} FLOPs: ask at N and D, by targets.points"
            )
        budgets.append((best, forecast_points(asked, [(best.params, best.tokens)], options.level)[0]))
    try:
        points = forecast_points(asked, asked_points, options.level)
    except ValueError as error:  # off the line of the rows
        raise ConfigError(str(error)) from None
    return StoredAnswer(asked.average.reach.flops, tuple(budgets), points)


def stored(source: str, content: Mapping[str, Any]) -> Forecaster:
    """The forecaster of a fits.json. Raises ConfigError: it holds none, or a check refused it."""
    refused = [one for one in content.get("findings", []) if one["level"] == "refuse"]
    if refused:
        said = " ".join(f"{one['name']}: {one['numbers']} {one['remedy']}" for one in refused)
        raise ConfigError(f"{source} was refused as an answer when it was fitted. {said}")
    try:
        return stored_forecaster(content["selected"])
    except (ValueError, KeyError, TypeError) as problem:
        raise ConfigError(f"{source} cannot be asked: {problem}") from None

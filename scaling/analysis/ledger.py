"""How the forecasts of many studies came out: the intervals that held, by law and level."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from scaling.results import LedgerLine
from scaling.store import Forecast

ALL = "all studies"


def ledger_lines(ledgers: Mapping[str, Sequence[Forecast]]) -> tuple[LedgerLine, ...]:
    """A line for each study, law and level, and before them one over all studies for each law and level.

    `ledgers` are forecasts by study. With one study there is nothing to add up.
    """
    everything = [(study, forecast) for study, ledger in sorted(ledgers.items()) for forecast in ledger]
    lines = _lines(everything)
    if len({study for study, _ in everything}) < 2:
        return tuple(lines)
    return (*_lines([(ALL, forecast) for _, forecast in everything]), *lines)


def _lines(entries: Sequence[tuple[str, Forecast]]) -> list[LedgerLine]:
    def kind(entry: tuple[str, Forecast]) -> tuple[str, str, float]:
        study, forecast = entry
        return study, forecast.law, forecast.level

    lines = []
    for (study, law, level), group in groupby(sorted(entries, key=kind), key=kind):
        forecasts = [forecast for _, forecast in group]
        errors = [abs(f.relative_error) for f in forecasts if f.relative_error is not None]
        lines.append(
            LedgerLine(
                study=study,
                law=law,
                level=level,
                made=len(forecasts),
                measured=len(errors),
                inside=sum(f.covered is True for f in forecasts),
                mean_error=sum(errors) / len(errors) if errors else None,
                data_hashes=tuple(sorted({f.data_hash for f in forecasts})),
            )
        )
    return lines

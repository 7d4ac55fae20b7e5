"""Numbers as a reader wants them. Missing is a dash, never a zero."""

import math
import re
from collections.abc import Callable
from typing import Protocol

MISSING = "–"
_POWER = "\u00a0×\u00a010"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


class Interval(Protocol):
    """Whatever has two ends."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def significant(value: float | None, digits: int = 3) -> str:
    """With `digits` significant digits and no exponent between 0.001 and a million, else as a power of ten."""
    if value is None or _missing(value):
        return MISSING
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return scientific(value, digits)
    # The exponent after rounding: 0.9996 is 1.00.
    decimals = digits - 1 - int(f"{value:.{digits - 1}e}".split("e")[1])
    return minus(f"{round(value, decimals):.{max(decimals, 0)}f}")


def scientific(value: float | None, digits: int = 3) -> str:
    """1.23 × 10⁴; FLOPs are always written so."""
    if value is None or _missing(value):
        return MISSING
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{minus(mantissa)}{_POWER}{str(int(exponent)).translate(_SUPERSCRIPT)}"


def power_of_ten(value: float) -> str:
    """As short as a tick's label must be: 10⁹, 3·10⁹."""
    mantissa, exponent = f"{value:.0e}".split("e")
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return power if mantissa == "1" else f"{mantissa}·{power}"


def amount(value: float | None, digits: int = 3) -> str:
    """Parameters and tokens: 98.3k, 4.19M, 1.2B."""
    if value is None or _missing(value):
        return MISSING
    for unit, suffix in _UNITS:
        # 999,950 rounds to 1.00M, not to 1000k.
        if abs(value) >= unit * (1 - 0.5 * 10.0**-digits):
            return significant(value / unit, digits) + suffix
    return significant(value, digits) if value % 1 else f"{value:.0f}"


def short_amount(value: float) -> str:
    """A tick's label: 1M, 300k, 2.5B."""
    for unit, suffix in _UNITS:
        if value >= unit * (1 - 1e-9):
            return f"{value / unit:.3g}{suffix}"
    return f"{value:.3g}"


def nats(value: float | None) -> str:
    """A loss, to the fourth decimal."""
    return MISSING if value is None or _missing(value) else f"{value:.4f}"


def percent(value: float | None, digits: int = 2) -> str:
    return MISSING if value is None or _missing(value) else f"{100 * value:.{digits}f}%"


def signed_percent(value: float | None, digits: int = 2) -> str:
    return MISSING if value is None or _missing(value) else minus(f"{100 * value:+.{digits}f}%")


def minus(text: str) -> str:
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def bytes_text(count: float) -> str:
    """As memory is sold: 1.2 GiB."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB")):
        if count >= 1024**power:
            return f"{significant(count / 1024**power)} {unit}"
    return f"{significant(count / 1024)} KiB"


def level_text(level: float) -> str:
    return f"{100 * level:.3g}%"


def range_text(interval: Interval | None, form: Callable[[float], str] = significant) -> str:
    """The two ends, in the form of the value they belong to."""
    return MISSING if interval is None else between(interval.low, interval.high, form)


def between(low: float, high: float, form: Callable[[float], str] = significant) -> str:
    """Two ends of which both are powers of ten, or neither: 4.2 to 6.0 × 10⁷ would read as one power for both."""
    words = [form(low), form(high)]
    powers = [_POWER in each for each in words]
    if any(powers) and not all(powers):
        digits = max(sum(map(str.isdigit, each.partition(_POWER)[0])) for each in words if _POWER in each)
        words = [scientific(end, digits) for end in (low, high)]
    return " to ".join(words)


def plural(count: int, noun: str, many: str | None = None) -> str:
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def greek(name: str) -> str:
    """A parameter as it is printed: α for alpha."""
    return {"alpha": "α", "beta": "β", "gamma": "γ"}.get(name, name)


def formula_text(formula: str) -> str:
    return re.sub(r"\b(alpha|beta|gamma)\b", lambda match: greek(match[0]), formula)


def sentence(text: str) -> str:
    """With a full stop, and only one."""
    return text if text.endswith((".", "!", "?")) else f"{text}."

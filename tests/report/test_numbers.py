"""Numbers read as a person would write them, and what is missing is a dash."""

import pytest

from scaling.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"), (0.34176, "0.342"), (-0.0484, "−0.0484"), (999.96, "1000"), (12345.0, "12300"),
        (1.5e7, "1.50\u00a0×\u00a010⁷"), (4e-5, "4.00\u00a0×\u00a010⁻⁵"), (None, "–"), (float("nan"), "–"),
    ],
)  # fmt: skip
def test_significant(value: float | None, text: str) -> None:
    assert numbers.significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(512, "512"), (26_200, "26.2k"), (999_950, "1.00M"), (999_000, "999k"), (4_194_304, "4.19M"), (None, "–")],
)  # fmt: skip
def test_amount(value: float | None, text: str) -> None:
    assert numbers.amount(value) == text


def test_both_ends_of_a_range_are_powers_of_ten_or_neither() -> None:
    between = numbers.between
    assert between(4.175, 6.025e7) == "4.17\u00a0×\u00a010⁰ to 6.02\u00a0×\u00a010⁷"
    assert between(0.0123, 512.0) == "0.0123 to 512"
    assert between(1e7, 2e7) == "1.00\u00a0×\u00a010⁷ to 2.00\u00a0×\u00a010⁷"
    assert between(9_999.0, 2e6, numbers.amount) == "10.0k to 2.00M"


def test_signs_units_and_words() -> None:
    assert numbers.signed_percent(-0.01234) == "−1.23%"
    assert numbers.percent(None) == "–"
    assert numbers.power_of_ten(3e12) == "3·10¹²"
    assert numbers.power_of_ten(1e12) == "10¹²"
    assert numbers.formula_text("L = E + A/N^alpha") == "L = E + A/N^α"
    assert numbers.duration(7300) == "2.0 h"
    assert numbers.sentence("done.") == numbers.sentence("done") == "done."

"""What the points of somebody else's trainer are asked for: each check finds its sin, and says nothing without it."""

import math
from types import SimpleNamespace

import pytest

from scaling.checks.programs import mixed_code, nats_of_bytes, unchecked_program


def point(run: str, loss: float, per_byte: float | None = None, commit: str | None = "a" * 40) -> SimpleNamespace:
    return SimpleNamespace(
        run_id=run, final_loss_nats=loss, bits_per_byte=per_byte, validation_tokens=None, best_loss_nats=None,
        provenance=SimpleNamespace(git_commit=commit),
    )  # fmt: skip


def study(*done: SimpleNamespace, unit: str | None = "nats/token") -> SimpleNamespace:
    """`unit` None: trained by our own trainer."""
    program = None if unit is None else SimpleNamespace(unit=unit)
    by_id = {record.run_id: SimpleNamespace(program=program) for record in done}
    return SimpleNamespace(done=done, plan=SimpleNamespace(by_id=by_id), curves=())


@pytest.mark.parametrize(("commit", "levels"), [("b" * 40, ["warn"]), (None, ["warn"]), ("a" * 40, [])])
def test_a_trainer_that_changed_between_two_points(commit: str | None, levels: list[str]) -> None:
    found = list(mixed_code(study(point("a", 3.0), point("b", 2.9, commit=commit))))  # type: ignore[arg-type]
    assert [finding.level for finding in found] == levels


@pytest.mark.parametrize(
    ("unit", "per_byte", "levels"),
    [
        ("bits/byte", 1.1, ["warn"]),
        ("bits/byte", 0.4, []),  # with tokens and bytes of its validation text
        ("nats/token", 1.1, []),
    ],
)
def test_bits_of_bytes_that_nobody_counted(unit: str, per_byte: float, levels: list[str]) -> None:
    one = point("a", 1.1 * math.log(2.0), per_byte)
    found = list(nats_of_bytes(study(one, unit=unit)))  # type: ignore[arg-type]
    assert [finding.level for finding in found] == levels


def test_what_nobody_can_check_is_said() -> None:
    (found,) = unchecked_program(study(point("a", 3.0), point("b", 2.9)))  # type: ignore[arg-type]
    assert (found.level, found.numbers[:2]) == ("info", "2 ")
    assert "spikes" in found.numbers
    assert not list(unchecked_program(study(point("a", 3.0), unit=None)))  # type: ignore[arg-type]

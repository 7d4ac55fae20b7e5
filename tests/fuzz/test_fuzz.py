"""Some seconds of `make fuzz`: the same cases each time."""

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.process import import_all


@pytest.mark.parametrize(("kind", "cases"), [("configs", 100), ("tables", 8), ("studies", 8)])
def test_nothing_odd_leads_to_a_traceback_a_hang_or_nonsense(kind: str, cases: int) -> None:
    import_all()
    assert fuzz(kind, seed=0, cases=cases) == []

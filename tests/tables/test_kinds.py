"""Tables as people keep them give the planted law, with what was done said, or are refused by what is wrong."""

from pathlib import Path

import pytest

from tests.tables.asked import ask
from tests.tables.kinds import READ, REFUSED, WARNED, Kind

NEAR = 0.10


def write(folder: Path, kind: Kind) -> Path:
    name, make, _ = kind
    content = make()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


@pytest.mark.parametrize("kind", READ)
def test_the_law_comes_out_and_what_was_done_is_said(tmp_path: Path, kind: str) -> None:
    words = READ[kind][2]
    got = ask(write(tmp_path, READ[kind]))
    assert got.refused is None, got.refused
    missing = [word for word in words if word not in got.said]
    assert not missing, (missing, got.said[:3000])
    assert got.best == pytest.approx(1, abs=NEAR), got.said[:3000]
    if not words:
        assert not got.names, got.said


@pytest.mark.parametrize("kind", REFUSED)
def test_a_table_that_would_mislead_is_refused_by_what_is_wrong_with_it(tmp_path: Path, kind: str) -> None:
    got = ask(write(tmp_path, REFUSED[kind]))
    assert got.refused is not None, (got.best, got.said)
    assert all(word in got.refused for word in REFUSED[kind][2]), got.refused
    assert "\n" not in got.refused


@pytest.mark.parametrize("kind", WARNED)
def test_what_is_doubtful_is_said(tmp_path: Path, kind: str) -> None:
    name, *words = WARNED[kind][2]
    got = ask(write(tmp_path, WARNED[kind]))
    assert name in got.names, got.said
    assert all(word in got.said for word in words), got.said

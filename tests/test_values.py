"""The strict codec between plain values and frozen dataclasses."""

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.json_text import NotJson, parse_json
from scaling.values import ValueMismatch, from_plain, read_json, to_plain, write_json


@dataclass(frozen=True)
class Inner:
    name: str
    rate: float
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner
    many: tuple[Inner, ...] = ()
    perhaps: float | None = None
    flag: bool = False


@given(
    st.builds(
        Outer,
        count=st.integers(-(10**35), 10**35),  # as large as a count may be
        inner=st.builds(Inner, name=st.text(), rate=st.floats(allow_nan=False, allow_infinity=False)),
        many=st.lists(st.builds(Inner, name=st.text(), rate=st.floats(-1e9, 1e9))).map(tuple),
        perhaps=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        flag=st.booleans(),
    )
)
def test_what_is_written_is_read_to_the_last_bit(value: Outer) -> None:
    assert from_plain(Outer, to_plain(value), "value") == value


GOOD = {"count": 3, "inner": {"name": "x", "rate": 1.5}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cuont": 1}, "value has the unknown key 'cuont': did you mean count.$"),
        ({"count": "many"}, "value.count is 'many'; it must be a whole number"),
        ({"count": 1.5}, "value.count is 1.5; it must be a whole number"),
        ({"count": True}, "value.count is True; it must be a whole number"),
        ({"flag": 1}, "value.flag is 1; it must be a true or false"),
        ({"inner": {"name": "x"}}, "value.inner lacks the key 'rate'; give it a number"),
        ({"inner": {"name": "x", "rate": 1.0, "kind": "c"}}, "value.inner.kind is 'c'; it must be one of a, b"),
        ({"inner": 3}, "value.inner is 3; it must be a mapping"),
        ({"many": 3}, "value.many is 3; it must be a list"),
        ({"many": [{"name": 1, "rate": 2}]}, r"value.many\[0\].name is 1; it must be a text"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueMismatch, match=words):
        from_plain(Outer, {**GOOD, **changes}, "value")


def test_yaml_numbers_that_yaml_reads_as_text_or_float() -> None:
    assert from_plain(Outer, {**GOOD, "count": "4e6"}, "value").count == 4_000_000
    assert from_plain(Outer, {**GOOD, "count": 2.0e6}, "value").count == 2_000_000


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, from_plain(Outer, GOOD, "value"))
    assert read_json(Outer, path) == from_plain(Outer, GOOD, "value")
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"x": math.nan})
    assert read_json(Outer, path).count == 3
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]
    path.write_text("{")
    with pytest.raises(ValueMismatch, match="is not JSON"):
        read_json(Outer, path)


def make_sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 40 << 30)


def make_socket(path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, Path.mkdir, make_sparse, make_socket, lambda p: p.symlink_to(p), lambda p: p.symlink_to("/dev/zero")],
)
def test_what_is_no_file_of_ours_is_told_and_neither_waited_for_nor_read(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    make(tmp_path / "plan.json")
    with pytest.raises(ValueMismatch, match="move it away"):
        read_json(Outer, tmp_path / "plan.json")


def test_a_key_twice_among_very_many_is_found_at_once() -> None:
    keys = ",".join(f'"{i}": 1' for i in range(100_000))
    began = time.process_time()
    with pytest.raises(NotJson, match="'99999' twice"):
        parse_json(f'{{{keys}, "99999": 2}}')
    assert time.process_time() - began < 20

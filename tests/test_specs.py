"""A run's id: what it hashes, and that it stays."""

from dataclasses import replace

import pytest

from scaling.specs import DivergenceRule
from scaling.values import from_plain, to_plain
from tests.tiny_run import make_spec


def test_ids_stay_when_the_spec_gets_new_fields() -> None:
    """A moved id orphans every run folder there is: a later field must be marked ADDED_LATER and have a default."""
    assert make_spec().id == "tiny-wsd-s0-d3b355f730"
    assert make_spec(kind="cosine", steps=(20,)).id == "tiny-cosine-s0-9b1e5e9895"
    assert make_spec(num_kv_heads=1).id != make_spec().id != make_spec(optimizer="muon").id


def test_a_later_field_off_its_default_moves_the_id() -> None:
    spec = make_spec()
    changed = replace(spec, divergence=DivergenceRule(margin_nats=2.0))
    assert changed.id != spec.id
    assert replace(spec, divergence=DivergenceRule()).id == spec.id


def test_a_spec_written_before_a_field_existed_is_read_with_its_default() -> None:
    spec = make_spec()
    plain = to_plain(spec)
    del plain["divergence"]
    assert from_plain(type(spec), plain, "spec") == spec


@pytest.mark.parametrize(("field", "value"), [("margin_nats", 0.0), ("steps", -1)])
def test_impossible_rules_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"divergence.{field} is {value}; it must be"):
        DivergenceRule(**{field: value})  # type: ignore[arg-type]

"""Records on disk: those of earlier schemas are read, those of later ones refused by name."""

import json
from pathlib import Path

import pytest

from scaling.records import RECORD_SCHEMA, Divergence, read_record, record_path, write_record
from scaling.values import ValueMismatch, to_plain
from tests.analysis.conftest import make_record
from tests.planning.conftest import plan

# Byte for byte what the first version wrote.
SCHEMA_1 = Path(__file__).parent / "record-schema-1.json"


def test_a_record_of_schema_1_is_read_with_what_it_could_not_know_left_open() -> None:
    record = read_record(SCHEMA_1)
    assert record.schema == RECORD_SCHEMA
    assert record.final_loss_nats == json.loads(SCHEMA_1.read_text())["final_loss_nats"]
    assert (record.mfu, record.energy_joules, record.divergence) == (None, None, None)
    assert record.provenance.micro_batch_tokens is None
    assert (record.provenance.processes, record.provenance.parallel) == (1, "none")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    study = plan()
    record = make_record(study, study.points[0], None, divergence=Divergence(7, None, 2.5, 1.25))
    write_record(tmp_path, record)
    assert read_record(record_path(tmp_path, record.budget_tokens)) == record


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 99}, "has record schema 99 and this version reads 1 to"),
        ({"schema": None}, "has record schema None"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_others_are_refused_by_name(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    study = plan()
    plain = {**to_plain(make_record(study, study.points[0], 2.0)), **changes}
    path = tmp_path / "record-1.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(ValueMismatch, match=words) as caught:
        read_record(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "{", '"text"'])
def test_a_broken_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "record-1.json"
    path.write_text(text)
    with pytest.raises(ValueMismatch, match=r"record-1\.json"):
        read_record(path)

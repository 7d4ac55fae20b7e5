"""The study's database: a mirror that can be thrown away, and a ledger that cannot be rewritten by it."""

import csv
import errno
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scaling import store
from scaling.analysis.ledger import ALL, ledger_lines
from scaling.folders import FolderError
from scaling.records import ValidationLoss
from scaling.report.ledger import ledger_verdict
from scaling.store import (
    SELECTED,
    STORE_FILE,
    Exclusion,
    Forecast,
    data_hash,
    export_points,
    point_rows,
    read_forecasts,
    read_ledgers,
    save_forecasts,
    save_study,
)
from tests.analysis.conftest import make_record, make_records
from tests.planning.conftest import plan


def table(folder: Path, name: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / STORE_FILE) as database:
        return sorted(database.execute(f"select * from {name}").fetchall(), key=repr)


def test_saving_twice_is_saving_once_and_a_lost_file_comes_back(tmp_path: Path) -> None:
    study = plan()
    records = make_records(study)
    exclusions = [Exclusion("run", 5, "diverged")]
    save_study(tmp_path, study, point_rows(study, records), exclusions)
    before = [table(tmp_path, name) for name in ("specs", "points", "exclusions")]
    save_study(tmp_path, study, point_rows(study, records), exclusions)
    assert [table(tmp_path, name) for name in ("specs", "points", "exclusions")] == before
    (tmp_path / STORE_FILE).unlink()
    save_study(tmp_path, study, point_rows(study, records), exclusions)
    assert [table(tmp_path, name) for name in ("specs", "points", "exclusions")] == before


def test_a_broken_file_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / STORE_FILE).write_bytes(b"not a database, certainly" * 50)
    save_study(tmp_path, plan(), point_rows(plan(), make_records(plan())), [])
    assert len(table(tmp_path, "points")) == 16
    assert (tmp_path / "store.corrupt").exists()


def test_a_store_that_is_held_or_full_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, path = plan(), tmp_path / STORE_FILE
    rows = point_rows(study, make_records(study))
    save_study(tmp_path, study, rows, [])
    whole = path.read_bytes()
    monkeypatch.setattr(store, "SECONDS_FOR_THE_STORE", 0.05)
    with sqlite3.connect(path) as reader:
        reader.execute("begin exclusive")
        with pytest.raises(OSError, match="locked") as held:
            save_study(tmp_path, study, rows[:1], [])
    assert (held.value.errno, held.value.filename) == (errno.EBUSY, str(path))

    def too_much(database: sqlite3.Connection) -> None:
        database.execute("pragma max_page_count = 1")
        database.execute("create table more as select zeroblob(1000000)")

    with pytest.raises(OSError, match="full") as full:
        store.in_one_transaction(path, too_much)
    assert full.value.errno == errno.ENOSPC
    assert path.read_bytes() == whole
    assert not (tmp_path / "store.corrupt").exists()


def test_two_writers_at_once_and_a_reader_see_whole_studies(tmp_path: Path) -> None:
    study = plan()
    rows = point_rows(study, make_records(study))
    save_study(tmp_path, study, rows, [])
    seen, over = set[int](), threading.Event()

    def write() -> None:
        for _ in range(10):
            save_study(tmp_path, study, rows, [Exclusion("run", 5, "diverged")])

    def read() -> None:
        while not over.is_set():
            with sqlite3.connect(tmp_path / STORE_FILE, timeout=10) as database:
                seen.add(database.execute("select count(*) from points").fetchone()[0])

    reader, *writers = [threading.Thread(target=target) for target in (read, write, write)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    reader.join()
    assert seen == {len(rows)}


def test_a_store_that_is_a_link_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "mine.sqlite").write_bytes(b"")
    (tmp_path / STORE_FILE).symlink_to(tmp_path / "mine.sqlite")
    with pytest.raises(FolderError, match="is a link"):
        save_study(tmp_path, plan(), [], [])
    assert (tmp_path / "mine.sqlite").read_bytes() == b""


def test_more_flops_than_64_bits_hold_are_kept(tmp_path: Path) -> None:
    study = plan()
    record = make_record(study, study.points[0], 2.0, flops=10**21)
    rows = point_rows(study, [record])
    export_points(tmp_path, rows)
    save_study(tmp_path, study, rows, [])
    with sqlite3.connect(tmp_path / STORE_FILE) as database:
        assert database.execute("select flops from points").fetchone()[0] == 1e21
    assert pq.read_table(tmp_path / "points.parquet").to_pylist()[0]["flops"] == 1e21


def test_exports_keep_every_digit_and_missing_stays_missing(tmp_path: Path) -> None:
    study = plan()
    records = make_records(study, noise=0.01)
    records[0] = make_record(study, study.points[0], None)
    export_points(tmp_path, point_rows(study, records))
    with (tmp_path / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["final_loss_nats"] == ""
    assert [float(row["final_loss_nats"]) for row in rows[1:]] == [r.final_loss_nats for r in records[1:]]
    parquet = pq.read_table(tmp_path / "points.parquet").to_pylist()
    assert [row["final_loss_nats"] for row in parquet] == [r.final_loss_nats for r in records]
    assert [row["flops"] for row in parquet] == [r.flops for r in records]


def test_the_ledger_outlives_the_database(tmp_path: Path) -> None:
    entry = Forecast("run", "14k", 1000, "chinchilla", 2.0, 1.9, 2.1, 0.95, "method", "hash", "2026-01-01")
    save_forecasts(tmp_path, [entry])
    save_study(tmp_path, plan(), [], [])
    assert len(table(tmp_path, "forecasts")) == 1
    (tmp_path / STORE_FILE).unlink()
    assert read_forecasts(tmp_path) == (entry,)
    assert entry.relative_error is None
    assert entry.covered is None


def test_a_data_hash_names_rows_whatever_their_order() -> None:
    rows = [("a", 1, 2.0), ("b", 2, 3.0)]
    assert data_hash(rows) == data_hash(rows[::-1])
    assert data_hash(rows) != data_hash([("a", 1, 2.0), ("b", 2, 3.0000000000000004)])


@pytest.mark.parametrize(("measured", "covered", "error"), [(2.05, True, 2 / 2.05 - 1), (2.5, False, -0.2)])
def test_a_score(measured: float, covered: bool, error: float) -> None:
    entry = Forecast("r", "s", 1, "law", 2.0, 1.9, 2.1, 0.95, "m", "h", "t", measured)
    assert entry.covered is covered
    assert entry.relative_error == pytest.approx(error)


def test_every_validation_set_has_columns_of_its_own(tmp_path: Path) -> None:
    study = plan()
    other = ValidationLoss(loss_nats=2.5, loss_sem_nats=0.1, bits_per_byte=3.0, word_perplexity=None, tokens=7)
    records = [replace(record, validation_sets={"2nd": other}) for record in make_records(study)[1:]]
    records.append(make_record(study, study.points[0], None))
    export_points(tmp_path, point_rows(study, records))
    save_study(tmp_path, study, point_rows(study, records), [])
    with sqlite3.connect(tmp_path / STORE_FILE) as database:
        columns = 'size, "2nd_loss_nats", "2nd_bits_per_byte", "2nd_word_perplexity"'
        found = set(database.execute(f"select {columns} from points where status = 'done'"))
    assert {row[1:] for row in found} == {(2.5, 3.0, None)}
    with (tmp_path / "points.csv").open(newline="") as file:
        assert sorted(row["2nd_loss_nats"] for row in csv.DictReader(file)) == sorted(["", *["2.5"] * 15])
    # A study without that set has not its columns.
    save_study(tmp_path, study, point_rows(study, make_records(study)), [])
    with sqlite3.connect(tmp_path / STORE_FILE) as database:
        assert not [row for row in database.execute("pragma table_info(points)") if row[1].startswith("2nd")]


def test_the_ledger_adds_up_over_all_studies(tmp_path: Path) -> None:
    """Intervals that held are counted by law and level, over every study of the folder."""

    def entry(run: str, measured: float | None, law: str = SELECTED) -> Forecast:
        return Forecast(run, "1M", 1000, law, 3.0, 2.9, 3.1, 0.95, "m", f"hash of {run}", "2026-01-01", measured)

    for study, losses in {"a": (3.0, 3.05), "b": (3.3, 3.3, None)}.items():
        (tmp_path / study).mkdir()
        save_forecasts(tmp_path / study, [entry(f"{study}{i}", loss) for i, loss in enumerate(losses)])
    save_forecasts(tmp_path / "b", [*read_forecasts(tmp_path / "b"), entry("b0", 3.3, "chinchilla")])
    lines = {(line.study, line.law): line for line in ledger_lines(read_ledgers(tmp_path))}
    assert set(lines) == {(s, SELECTED) for s in ("a", "b", ALL)} | {("b", "chinchilla"), (ALL, "chinchilla")}
    total = lines[ALL, SELECTED]
    assert (total.made, total.measured, total.inside) == (5, 4, 2)
    assert total.mean_error == pytest.approx((0.0 + 0.05 / 3.05 + 2 * 0.3 / 3.3) / 4)
    assert total.data_hashes == ("hash of a0", "hash of a1", "hash of b0", "hash of b1", "hash of b2")
    assert lines["a", SELECTED].inside == 2
    assert ledger_verdict(lines["a", SELECTED]) == "as announced"
    assert ledger_verdict(lines["b", SELECTED]) == "too narrow"
    assert [line.study for line in ledger_lines({"a": read_forecasts(tmp_path / "a")})] == ["a"]

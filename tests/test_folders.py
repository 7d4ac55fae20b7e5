"""What a command may write, over what, and what it may remove: nothing that it did not write itself."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from scaling.folders import (
    MARK_FILE,
    FolderError,
    below,
    kind_of,
    replace_files,
    require_ours,
    storage_words,
    study_lock,
    take,
)
from scaling.values import remove_left_overs, write_atomically


def contents(folder: Path) -> dict[str, str]:
    """Every file and link below a folder but our own mark and lock, by name, as its digest or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name in (MARK_FILE, ".study.lock") or (path.is_dir() and not path.is_symlink()):
            continue
        text = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        found[str(path.relative_to(folder))] = hashlib.sha256(text).hexdigest()
    return found


def test_a_new_or_empty_folder_is_taken_and_known_again(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new" / "study", tmp_path / "empty"):
        require_ours(folder, "study", key="study")
        take(folder, "study", key="study")
        assert kind_of(folder) == "study"
        (folder / "notes.txt").write_text("mine")
        take(folder, "study", key="study")


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "analysis/mine", ".notes.12.tmp", "plan.json", "fits.json"])
def test_somebodys_folder_is_refused_and_taken_only_when_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    before = contents(tmp_path)
    with pytest.raises(FolderError, match="overwrite=true"):
        take(tmp_path, "study", key="study")
    assert not (tmp_path / MARK_FILE).exists()
    take(tmp_path, "study", key="study", overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("plan.json", '{"study": "x", "runs": [], "points": []}', "study"),
        ("tune.db", "", "study"),
        ("14k-wsd-s0-0123456789/job.json", "{}", None),
        ("fits.json", '{"schema": 1, "fits": []}', "table"),
    ],
)
def test_folders_of_earlier_versions_are_ours(name: str, text: str, kind: str | None, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert kind_of(tmp_path) == kind
    take(tmp_path, "table" if kind == "table" else "study", key="study")


def test_a_study_is_no_place_for_a_tables_report(tmp_path: Path) -> None:
    take(tmp_path / "study", "study", key="study")
    with pytest.raises(FolderError, match="whose own report would be lost"):
        take(tmp_path / "study", "table", key="out")
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="is a file"):
        take(tmp_path / "file", "table", key="out")


def test_a_report_removes_what_the_last_one_wrote_and_no_more(tmp_path: Path) -> None:
    take(tmp_path, "study", key="study")
    replace_files(tmp_path, "report", {"report/a.png": b"a", "report/deep/b.png": b"b", "report/edited.png": b"c"})
    (tmp_path / "report" / "edited.png").write_bytes(b"as I want it")
    (tmp_path / "report" / "deep" / "mine.png").write_bytes(b"mine")
    (tmp_path / "report" / ".a.png.123-0123abcd.tmp").write_bytes(b"half")
    replace_files(tmp_path, "report", {"report/a.png": b"A"})
    assert set(contents(tmp_path)) == {"report/a.png", "report/edited.png", "report/deep/mine.png"}
    replace_files(tmp_path, "analysis", {"analysis/run/x": b"x"})
    replace_files(tmp_path, "analysis", {})
    assert not (tmp_path / "analysis").exists()
    assert (tmp_path / "report" / "a.png").read_bytes() == b"A"


def test_a_list_from_elsewhere_removes_nothing_outside(tmp_path: Path) -> None:
    """A study that was received: its mark names files of whoever opens it, by dots, as a root, and through a link."""
    study, home = tmp_path / "study", tmp_path / "home"
    home.mkdir()
    (home / "precious").write_bytes(b"mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    take(study, "study", key="study")
    (study / "report").mkdir()
    (study / "report" / "link").symlink_to(home)
    names = ["report/../../home/precious", str(home / "precious"), "report/link/precious"]
    listed = ", ".join(f'"{name}": "{digest}"' for name in names)
    (study / MARK_FILE).write_text(f'{{"schema": 1, "kind": "study", "written": {{{listed}}}}}')
    replace_files(study, "report", {"report/index.html": b"page"})
    assert (home / "precious").read_bytes() == b"mine"


def test_nothing_is_written_through_a_link_that_leads_out(tmp_path: Path) -> None:
    study, home = tmp_path / "study", tmp_path / "home"
    home.mkdir()
    take(study, "study", key="study")
    (study / "report").symlink_to(home)
    with pytest.raises(FolderError, match="leads out of"):
        replace_files(study, "report", {"report/index.html": b"page"})
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/etc/passwd", ""])
def test_a_name_stays_below_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(FolderError):
        below(tmp_path, name)


def test_left_overs_are_ours_by_their_names(tmp_path: Path) -> None:
    ours = [".trunk.pt.77.tmp", ".record-16000.json.7.tmp", ".points.csv.12-0123abcd.tmp"]
    mine = ["a.tmp", ".a.tmp", ".notes.12.tmp", ".x.y.z.tmp", "trunk.pt.77.tmp"]
    for name in ours + mine:
        (tmp_path / name).write_text("")
    remove_left_overs(tmp_path)
    assert sorted(contents(tmp_path)) == sorted(mine)


def test_the_lock_is_reentrant_and_dies_with_its_holder(tmp_path: Path) -> None:
    with study_lock(tmp_path), study_lock(tmp_path):
        pass
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with study_lock(tmp_path):
            os.write(writing, b"x")
            os.kill(os.getpid(), 9)
    os.close(writing)  # or a child that dies early is waited for
    assert os.read(reading, 1) == b"x"
    with study_lock(tmp_path):
        pass
    os.waitpid(child, 0)


def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fits.json"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("fits.json", b"old")]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.ENAMETOOLONG, errno.EBUSY]
)
def test_the_disks_errors_say_what_where_what_is_safe_and_what_to_do(number: int) -> None:
    words = storage_words(OSError(number, os.strerror(number), "runs/x/fits.json"))
    assert words.startswith("runs/x/fits.json cannot be written")
    assert os.strerror(number) in words
    assert "what was measured stays" in words
    assert "run the same command again" in words
    assert "\n" not in words

"""What a file of a table holds may be more than a machine: so much is not read, and it is told."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from scaling.tables import files
from scaling.tables.account import TableError

TEXT = b"params,tokens,loss\n" + b"1e7,1e9,3.5\n" * 1_000


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", TEXT)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", TEXT), ("a.csv.gz", gzip.compress(TEXT)), ("a.xlsx", zipped()), ("b.csv", b"\n" * 200)],
    ids=["text", "gzip", "workbook", "blank lines"],  # packed bytes hold the time, and are no name
)
def test_no_more_is_unpacked_than_may_be_read(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(files, "MOST_BYTES", 10_000)
    monkeypatch.setattr(files, "MOST_LINES", 100)
    with pytest.raises(TableError, match=r"holds more than .* keep the columns"):
        files.read_sheet(tmp_path / name, ())

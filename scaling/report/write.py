"""Write a report to disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from scaling.report.content import FITS_LINK, content
from scaling.report.document import Document
from scaling.report.figures.interactive import interactive
from scaling.report.figures.plate import Figures, Picture
from scaling.report.groups import groups_content
from scaling.report.html import page
from scaling.report.markdown import markdown
from scaling.report.table_content import table_content
from scaling.results import GroupLaw, StudyReport, TableReport
from scaling.values import write_atomically

REPORT, FIGURES = "report", "figures"
FITS_FILE = "fits.json"


def write_report(report: StudyReport, study_folder: Path, figures: Figures) -> Path:
    """Write index.html, report.md and figures/ (PNG and SVG) into `<study>/report/`; give the page.

    The same study gives the same bytes. `figures` are those of `draw_figures`; `Figures()` writes the words and
    tables alone, in a moment.
    """
    document = content(report, figures.groups)
    folder = study_folder / REPORT
    index = _write_page(folder, document, figures)
    write_atomically(folder / "report.md", markdown(document).encode())
    return index


def write_table_report(report: TableReport, out: Path, figures: Figures) -> Path:
    """Write `<out>/report/` as of a study, and `<out>/report.md`; give the page.

    The same table gives the same bytes.
    """
    within = table_content(report, figures.groups, FITS_LINK)
    index = _write_page(out / REPORT, within, figures)
    write_atomically(out / REPORT / "report.md", markdown(within).encode())
    beside = table_content(report, figures.groups, FITS_FILE)
    write_atomically(out / "report.md", markdown(beside, figures=f"{REPORT}/{FIGURES}").encode())
    return index


def write_groups_report(
    source: str, column: str, flops: float, laws: Sequence[GroupLaw], command: str, out: Path
) -> Path:
    """Write `<out>/report/` and `<out>/report.md` of a table whose groups have a law each; give the page."""
    document = groups_content(source, column, flops, laws, command)
    index = _write_page(out / REPORT, document, Figures())
    for path in (out / REPORT / "report.md", out / "report.md"):
        write_atomically(path, markdown(document).encode())
    return index


def _write_page(folder: Path, document: Document, figures: Figures) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    _write_pictures(folder / FIGURES, figures.pictures)
    index = folder / "index.html"
    write_atomically(index, page(document, figures.pictures, interactive(figures.groups)).encode())
    return index


def _write_pictures(folder: Path, pictures: Mapping[str, Picture]) -> None:
    """Pictures of an earlier report that this one does not have are removed: a stale figure is a wrong one."""
    folder.mkdir(exist_ok=True)
    files = {f"{name}.svg": picture.svg.encode() for name, picture in pictures.items()}
    files |= {f"{name}.png": picture.png for name, picture in pictures.items()}
    for name, content_ in files.items():
        write_atomically(folder / name, content_)
    for path in folder.iterdir():
        if path.suffix in (".svg", ".png") and path.name not in files:
            path.unlink()

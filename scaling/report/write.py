"""Write a report to disk."""

from collections.abc import Sequence
from pathlib import Path

from scaling.folders import replace_files
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


def page_of(folder: Path) -> Path:
    return folder / REPORT / "index.html"


def write_report(report: StudyReport, study_folder: Path, figures: Figures) -> Path:
    """Write index.html, report.md and figures/ (PNG and SVG) into `<study>/report/`; give the page.

    The same study gives the same bytes. `figures` are those of `draw_figures`; `Figures()` writes the words and
    tables alone, in a moment. Figures of an earlier report that this one does not have are removed: a stale figure is a
    wrong one.
    """
    document = content(report, figures.groups)
    replace_files(study_folder, REPORT, _files(document, figures))
    return page_of(study_folder)


def write_table_report(report: TableReport, out: Path, figures: Figures) -> Path:
    """Write `<out>/report/` as of a study, and `<out>/report.md`; give the page.

    The same table gives the same bytes.
    """
    replace_files(out, REPORT, _files(table_content(report, figures.groups, FITS_LINK), figures))
    beside = table_content(report, figures.groups, FITS_FILE)
    write_atomically(out / "report.md", markdown(beside, figures=f"{REPORT}/{FIGURES}").encode())
    return page_of(out)


def write_groups_report(
    source: str, column: str, flops: float, laws: Sequence[GroupLaw], command: str, out: Path
) -> Path:
    """Write `<out>/report/` and `<out>/report.md` of a table whose groups have a law each; give the page."""
    document = groups_content(source, column, flops, laws, command)
    replace_files(out, REPORT, _files(document, Figures()))
    write_atomically(out / "report.md", markdown(document).encode())
    return page_of(out)


def _files(document: Document, figures: Figures) -> dict[str, bytes]:
    """By name below the folder; the page last, when all that it shows is there."""
    drawn = {f"{name}.{kind}": data for name, picture in figures.pictures.items() for kind, data in _kinds(picture)}
    return {
        **{f"{REPORT}/{FIGURES}/{name}": data for name, data in drawn.items()},
        f"{REPORT}/report.md": markdown(document).encode(),
        f"{REPORT}/index.html": page(document, figures.pictures, interactive(figures.groups)).encode(),
    }


def _kinds(picture: Picture) -> tuple[tuple[str, bytes], ...]:
    return ("svg", picture.svg.encode()), ("png", picture.png)

"""The committed gallery from a default study that was swept: `python scripts/keep_gallery.py runs/default 419`.

The number is the wall seconds that `make sweep` took. Report and figures are copied, and the page is photographed in
Chromium: 1600 pixels wide in light and dark, 400 in dark.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from run_example import keep

GALLERY = Path(__file__).parents[1] / "docs/gallery"
ABOUT = """\
> The report of one default study, as `make sweep` wrote it on two cores of an Intel Xeon with AVX-512 (fp32, no GPU) in
> {time}. Beside it lie [points.csv](points.csv), [fits.json](fits.json) and the ledger
> [forecasts.jsonl](forecasts.jsonl). The same report as a page: [light](page-1600-light.png),
> [dark](page-1600-dark.png), [on a phone](page-400-dark.png).

"""
DRAW_ALL = (Path(__file__).parent / "draw_all.js").read_text()
SHOTS = (
    ("page-1600-light", 1600, 2600, "light"),
    ("page-1600-dark", 1600, 2600, "dark"),
    ("page-400-dark", 400, 2600, "dark"),
)


def photograph(page_file: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, width, height, scheme in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(page_file.absolute().as_uri())
            page.evaluate(DRAW_ALL)
            page.screenshot(path=GALLERY / f"{name}.png")
            page.close()
            shrink(GALLERY / f"{name}.png")
        browser.close()


def shrink(picture: Path) -> None:
    """To what a reader of the docs needs: 960 pixels at most, 256 colours of which the dots keep theirs."""
    image = Image.open(picture).convert("RGB")
    image.thumbnail((960, image.height))
    image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(picture, optimize=True)


def main(study: Path, seconds: float) -> None:
    keep(study, GALLERY)
    readme = GALLERY / "README.md"
    minutes, rest = divmod(round(seconds), 60)
    time = f"{minutes} minutes and {rest} seconds"
    readme.write_text(ABOUT.format(time=time) + readme.read_text())
    photograph(study / "report/index.html")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))

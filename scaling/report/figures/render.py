"""From a panel to SVG and PNG: the same panel gives the same bytes."""

import io
import re

from scaling.report.figures.plate import Panel, Picture
from scaling.report.figures.style import RC

PNG_DPI = 160


def render(panel: Panel) -> Picture:
    """Draw without any global state of matplotlib: no display, no pyplot."""
    import matplotlib
    from matplotlib.figure import Figure

    # The salt makes the ids of clip paths a function of the panel's name; dates and versions are left out.
    with matplotlib.rc_context({**RC, "svg.hashsalt": panel.name}):
        figure = Figure(figsize=(panel.width, panel.height), layout="constrained")
        panel.draw(figure.subplots())
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        # The layout is worked out once: both pictures are the same.
        figure.set_layout_engine("none")
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return Picture(svg.getvalue(), png.getvalue())


def inline_svg(svg: str, name: str, alt: str) -> str:
    """A drawing as it stands inside a page: ids of its own, no prologue, no metadata, a name for those who listen.

    `alt` is escaped already.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r' xmlns(:\w+)?="[^"]*"', "", body)
    body = re.sub(r"\bid=\"", f'id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r' (width|height)="[\d.]+pt"', "", body, count=2)
    return body.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)

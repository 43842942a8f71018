"""Pictures of labs without the app: previews to look at, thumbnails for the gallery.

``python -m tests.pictures preview scaling_laws/chinchilla OUT_DIR [--theme dark] [--preset TITLE]``
``python -m tests.pictures thumbnails [scaling_laws/chinchilla …]``
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import plotly.graph_objects as go
from PIL import Image
from playwright.sync_api import Browser

from pages.kit.discovery import Entry, entries
from pages.kit.style import themed
from tests.chromium import chromium

THUMBNAILS = Path(__file__).parents[1] / "assets" / "thumbnails"
THUMBNAIL_SIZE = (480, 300)
THUMBNAIL_BYTES = 20_000


def picture(browser: Browser, fig: go.Figure, width: int, height: int) -> bytes:
    """A figure as PNG, as a browser of that size draws it."""
    fig.update_layout(width=width, height=height)
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_content(fig.to_html(include_plotlyjs=True, config={"displayModeBar": False}, auto_play=False))
    page.add_style_tag(content="body { margin: 0; background: transparent }")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.wait_for_timeout(300)
    png = page.screenshot(omit_background=True)
    page.close()
    return png


def preview(browser: Browser, entry: Entry, out: Path, theme: str, preset: str | None) -> None:
    """Every view of a lab at its defaults, or at a preset, as PNG files."""
    out.mkdir(parents=True, exist_ok=True)
    values = dict(entry.lab.presets[preset]) if preset else {}
    for k, view in enumerate(entry.lab.views):
        known = {name: value for name, value in values.items() if name in view.experiment.parameters}
        result = view.experiment(**known)
        fig = themed(view.figure(result), theme)
        target = out / f"{k}-{view.title.replace(' ', '_')}.png"
        target.write_bytes(picture(browser, fig, 900, fig.layout.height or 460))
        print(target, result.headline())


def thumbnail(browser: Browser, entry: Entry) -> bytes:
    """A lab's first figure, bare: no words, a transparent page, under 20 KB."""
    view = entry.lab.views[0]
    fig = themed(view.figure(view.experiment()), "light")
    fig.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
        margin={"l": 6, "r": 6, "t": 6, "b": 6},
    )
    fig.layout.annotations = fig.layout.sliders = fig.layout.updatemenus = ()
    fig.update_xaxes(showticklabels=False, title_text="", ticks="", minor_ticks="", gridcolor="rgba(128,128,128,0.2)")
    fig.update_yaxes(showticklabels=False, title_text="", ticks="", minor_ticks="", gridcolor="rgba(128,128,128,0.2)")
    fig.update_traces(showscale=False, selector={"type": "heatmap"})
    fig.update_traces(showscale=False, selector={"type": "contour"})
    png = Image.open(io.BytesIO(picture(browser, fig, *THUMBNAIL_SIZE)))
    for quality in (85, 70, 50, 30, 15):
        buffer = io.BytesIO()
        png.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() < THUMBNAIL_BYTES:
            break
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("preview")
    shown.add_argument("lab")
    shown.add_argument("out", type=Path)
    shown.add_argument("--theme", choices=["light", "dark"], default="light")
    shown.add_argument("--preset")
    made = commands.add_parser("thumbnails")
    made.add_argument("labs", nargs="*")
    arguments = parser.parse_args()
    by_path = {entry.path: entry for entry in entries()}
    with chromium() as browser:
        if arguments.command == "preview":
            preview(browser, by_path[arguments.lab], arguments.out, arguments.theme, arguments.preset)
        else:
            for path in arguments.labs or by_path:
                target = THUMBNAILS / f"{path}.webp"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(thumbnail(browser, by_path[path]))
                print(target, target.stat().st_size)


if __name__ == "__main__":
    main()

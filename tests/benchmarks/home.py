"""The first paint of home with 320 labs against home with ten: it must not grow with their number.

Labs are generated in a copy of the tree: the kernel density lab under other names, spread over all topics.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext

from pages.kit.discovery import topics
from tests.benchmarks.report import Row, show, verdict
from tests.benchmarks.server import serving
from tests.browser.conftest import ROOT
from tests.chromium import chromium

SIZES = (10, 320)
GOAL = 1.3
VISITS = 5
TOPIC, MODEL = "statistical_physics", "kernel_density_large_dimension"
VIEWPORT = {"width": 1400, "height": 1000}
SKIP = shutil.ignore_patterns("__pycache__", "thumbnails")

# When the first thumbnail has been decoded and stands within the window, on the clock that starts with the navigation.
PAINTED = """
new Promise((done) => {
  const look = () => {
    const image = document.querySelector('[data-testid="stImage"] img')
    const box = image?.getBoundingClientRect()
    const seen = image?.complete && image.naturalWidth && box.height && box.top < innerHeight && image.checkVisibility()
    if (seen) done(performance.now())
    else requestAnimationFrame(look)
  }
  look()
})
"""


def main(sizes: Sequence[int] = SIZES, visits: int = VISITS) -> list[Row]:
    """Measure home at each number of labs and print the ratio of the last to the first."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        trees = [generate(Path(folder) / str(size), size) for size in sizes]
        rows = []
        for size, tree in zip(sizes, trees, strict=True):
            print(f"home: {size} labs", file=sys.stderr)
            rows.append({"labs": size, **_measure(browser, tree, visits)})
    names = {"new visitor ms": "A new visitor", "again ms": "A browser that has the files", "cold ms": "The server's first visitor"}
    notes = [
        verdict(f"{said}, ratio of {sizes[-1]} labs to {sizes[0]}", rows[-1][n] / rows[0][n], GOAL) for n, said in names.items()
    ]
    show("Home, from navigation to the first card's picture", rows, notes)
    return rows


def generate(tree: Path, size: int) -> Path:
    """A copy of the app with exactly so many labs, all generated."""
    tree.mkdir()
    shutil.copy(ROOT / "app.py", tree)
    for folder in ("assets", ".streamlit"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=SKIP)
    for half in ("compute", "pages"):
        shutil.copytree(ROOT / half, tree / half, ignore=SKIP)
        for topic in topics():
            for part in (tree / half / topic).iterdir() if (tree / half / topic).exists() else ():
                if part.name != "__init__.py":
                    shutil.rmtree(part) if part.is_dir() else part.unlink()
    for k in range(size):
        _add(tree, list(topics())[k % len(topics())], f"generated_{k:03}", k)
    return tree


def _add(tree: Path, topic: str, name: str, number: int) -> None:
    for half in ("compute", "pages"):
        package = tree / half / topic
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        original, copy = ROOT / half / TOPIC / MODEL, package / name
        if original.is_dir():
            shutil.copytree(original, copy, ignore=SKIP)
            files = list(copy.rglob("*.py"))
        else:
            files = [Path(shutil.copy(f"{original}.py", f"{copy}.py"))]
        for file in files:
            source = file.read_text().replace(f"compute.{TOPIC}.{MODEL}", f"compute.{topic}.{name}")
            # Labs differ in title and question; equal ones could be told apart by nobody, Streamlit included.
            source = source.replace('title="Kernel', f'title="{number} Kernel').replace('question="', f'question="{number}: ')
            file.write_text(source)
    picture = tree / "assets" / "thumbnails" / topic / f"{name}.webp"
    picture.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "assets" / "thumbnails" / TOPIC / f"{MODEL}.webp", picture)


def _measure(browser: Browser, tree: Path, visits: int) -> Row:
    # A server that ran before has left its .pyc files, as an installed one has: the cold visit is not about the compiler.
    with serving(tree) as server:
        _new_visit(browser, server.url)
    with serving(tree) as server:
        cold = _new_visit(browser, server.url)
        _new_visit(browser, server.url)
        new = [_new_visit(browser, server.url) for _ in range(visits)]
        context = browser.new_context(viewport=VIEWPORT)
        _visit(context, server.url)
        again = [_visit(context, server.url) for _ in range(visits)]
        context.close()
    return {"cold ms": cold, "new visitor ms": statistics.median(new), "again ms": statistics.median(again)}


def _new_visit(browser: Browser, url: str) -> float:
    context = browser.new_context(viewport=VIEWPORT)
    try:
        return _visit(context, url)
    finally:
        context.close()


def _visit(context: BrowserContext, url: str) -> float:
    """Milliseconds from navigation to the first picture, in a tab of its own."""
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(url, wait_until="commit")
    found = page.evaluate(PAINTED)
    page.close()
    return float(found)

"""From a slider's step to the repainted figure, in Chromium, for each lab against a page that is almost empty.

The reference is what plain Streamlit takes for one line chart and one heatmap of NumPy one-liners behind one slider. It is
measured again before every few labs, so that a machine that slows down slows both. Everything is timed inside the page.
"""

from __future__ import annotations

import math
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from pages.kit.discovery import Entry
from pages.kit.run import is_live
from tests.benchmarks.report import Row, show, verdict
from tests.benchmarks.server import serving
from tests.browser.conftest import ROOT
from tests.chromium import chromium

MEDIAN_GOAL, WORST_GOAL = 1.3, 3.0
STEPS, WARM_UP = 15, 3
LABS_PER_REFERENCE = 5
PATIENCE_MS, QUIET_MS = 10_000, 300
DRAG_MOVES, DRAG_PATIENCE_MS = 12, 2000
VIEWPORT = {"width": 1400, "height": 1000}

REFERENCE = """
import numpy as np
import plotly.graph_objects as go
import streamlit as st

st.set_page_config(layout="wide")


@st.fragment
def panel():
    value = st.slider("value", 0.0, 10.0, 2.0, 0.05)
    x = np.linspace(0, 10, 400)
    grid = np.linspace(-3, 3, 60)
    surface = np.sin(value * grid)[:, None] * np.cos(grid)
    st.plotly_chart(go.Figure(go.Scatter(x=x, y=np.sin(value * x), name=str(value))), key="line")
    st.plotly_chart(go.Figure(go.Heatmap(x=grid, y=grid, z=surface, name=str(value))), key="map")


panel()
"""

# A probe calls back at each repaint. A lab's chart counts its own; of the reference both charts must have been plotted with
# the new value, whether Streamlit updates them or builds new ones.
PROBE = """
() => {
  if (window.repaint) return
  const probe = (window.repaint = { count: 0, at: 0 })
  const repainted = () => { probe.count += 1; probe.at ||= performance.now() }
  const charts = () => [...document.querySelectorAll(".js-plotly-plot")]
  const listen = () => {
    for (const chart of charts()) {
      if (chart.heard || !chart.on) continue
      chart.heard = true
      chart.on("plotly_afterplot", () => {
        const names = charts().map((c) => c.data?.[0].name)
        if (names.length === 2 && names[0] === names[1] && names[0] !== probe.name) {
          probe.name = names[0]
          repainted()
        }
      })
    }
  }
  if (document.querySelector(".regimes-chart")) {
    const options = { subtree: true, attributes: true, attributeFilter: ["data-drawn"] }
    new MutationObserver(repainted).observe(document.body, options)
  } else {
    listen()
    probe.name = charts()[0].data[0].name
    new MutationObserver(listen).observe(document.body, { subtree: true, childList: true, attributes: true })
  }
  probe.arm = () => { probe.count = 0; probe.at = 0; probe.start = performance.now() }
  probe.wait = async (patience, quiet) => {
    const pause = (ms) => new Promise((done) => setTimeout(done, ms))
    while (!probe.at && performance.now() - probe.start < patience) await pause(5)
    const taken = probe.at ? probe.at - probe.start : null
    do await pause(quiet); while (document.querySelector('[data-testid="stStatusWidget"]'))
    return { taken, count: probe.count }
  }
}
"""
STEP = """
async ({ slider, key, steps, patience, quiet }) => {
  const found = []
  for (let k = 0; k < steps; k++) {
    const input = document.querySelectorAll('input[type="range"]')[slider]
    window.repaint.arm()
    input.dispatchEvent(new KeyboardEvent("keydown", { key, code: key, bubbles: true, cancelable: true }))
    input.dispatchEvent(new KeyboardEvent("keyup", { key, code: key, bubbles: true }))
    found.push(await window.repaint.wait(patience, quiet))
    if (found.at(-1).taken === null) break
  }
  return found
}
"""
SLIDERS = """
() => [...document.querySelectorAll('input[type="range"]')].map((input) => {
  const box = input.closest('[class*="-slide-"]')
  const [low, high, step, value] = [input.min, input.max, input.step, input.value].map(Number)
  return { name: box ? box.className.match(/-slide-(\\w+)/)[1] : "value", right: Math.round((high - value) / step),
           left: Math.round((value - low) / step) }
})
"""
# The pointer's own events start the clock; a drag has one update in flight at a time, and each move waits for its own.
ARM_AT_MOVES = """
() => document.addEventListener("pointermove", () => window.repaint.arm(), true)
"""


def main(labs: Sequence[Entry], steps: int = STEPS) -> list[Row]:
    """Measure each lab's first view at its defaults and print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "reference.py").write_text(REFERENCE)
        shutil.copytree(ROOT / ".streamlit", Path(folder) / ".streamlit")
        with serving(Path(folder), "reference.py") as plain, serving(ROOT) as app, chromium() as browser:
            rows: list[Row] = []
            for k, entry in enumerate(labs):
                if k % LABS_PER_REFERENCE == 0:
                    reference = _reference(browser, plain.url, steps)
                print(f"repaint: {entry.path}", file=sys.stderr)
                rows.append({"lab": entry.path, **_lab(browser, app.url, entry, steps, reference)})
    ratios = [row["ratio"] for row in rows if row.get("ratio")]
    notes = ["drag: from a move of the pointer to the repaint, which plain Streamlit does not do; a redraw is one of the chart."]
    if ratios:
        notes.insert(0, verdict("Worst lab, ratio to the reference", max(ratios), WORST_GOAL))
        notes.insert(0, verdict("Median lab, ratio to the reference", statistics.median(ratios), MEDIAN_GOAL))
    show("Slider to repaint", rows, notes)
    return rows


def _open(browser: Browser, url: str, chart: str) -> Page:
    page = browser.new_context(viewport=VIEWPORT).new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    page.wait_for_selector(chart)
    page.wait_for_timeout(1000)
    page.evaluate(PROBE)
    return page


def _reference(browser: Browser, url: str, steps: int) -> float:
    page = _open(browser, url, ".js-plotly-plot >> nth=1")
    try:
        times, _ = _steps(page, 0, "ArrowRight", steps)
        if not times:
            raise RuntimeError("the reference page did not repaint")
        return statistics.median(times)
    finally:
        page.context.close()


def _steps(page: Page, slider: int, key: str, steps: int) -> tuple[list[float], float]:
    """Milliseconds of each step after the first few, and how often the chart was drawn for one."""
    given: dict[str, Any] = {"slider": slider, "key": key, "patience": PATIENCE_MS, "quiet": QUIET_MS}
    # A slider that does nothing to this view is found out by its first step.
    warm = page.evaluate(STEP, given | {"steps": WARM_UP})
    if warm[-1]["taken"] is None:
        return [], 0.0
    found = [step for step in page.evaluate(STEP, given | {"steps": steps}) if step["taken"] is not None]
    return [step["taken"] for step in found], statistics.mean(step["count"] for step in found) if found else 0.0


def _lab(browser: Browser, url: str, entry: Entry, steps: int, reference: float) -> Row:
    try:
        if not is_live(entry.lab.views[0].experiment, {}):
            return {"slider": "behind Run"}
    except Exception as error:  # one broken lab must not cost the table of the others
        return {"slider": f"{type(error).__name__}: {error}"}
    try:
        page = _open(browser, f"{url}/{entry.url}", ".regimes-chart[data-drawn]")
    except PlaywrightError as error:
        return {"slider": f"no figure: {str(error).splitlines()[0]}"}
    try:
        return _row(page, entry, steps, reference)
    except PlaywrightError as error:
        return {"slider": f"failed: {str(error).splitlines()[0]}"}
    finally:
        page.context.close()


def _row(page: Page, entry: Entry, steps: int, reference: float) -> Row:
    sliders = page.evaluate(SLIDERS)
    # Every step must be to a value not yet computed: results are cached, and going back would cost nothing. So the first
    # slider with room on one side, else the one with the most.
    room = [max(s["right"], s["left"]) for s in sliders]
    wanted = WARM_UP + steps
    order = sorted(range(len(sliders)), key=lambda k: (-min(room[k], wanted), k))
    for k in order[:3]:
        rightward = sliders[k]["right"] >= min(sliders[k]["left"], wanted)
        times, redraws = _steps(page, k, "ArrowRight" if rightward else "ArrowLeft", min(steps, max(1, room[k] - WARM_UP)))
        if times:
            middle = statistics.median(times)
            return {
                "slider": sliders[k]["name"],
                "reference ms": reference,
                "step ms": middle,
                "slowest ms": max(times),
                "ratio": middle / reference,
                "redraws": redraws,
                "drag ms": _drag(page, sliders[k], entry, 1 if rightward else -1),
            }
    return {"slider": "none repaints the first view"}


def _drag(page: Page, slider: dict[str, Any], entry: Entry, direction: int) -> float | None:
    """Median over a few moves of a drag; ``None`` where the view waits for the release."""
    box = page.locator(f".st-key-{entry.name}-slide-{slider['name']} [data-testid=stSlider]")
    thumb = box.locator("[data-testid=stSliderThumbValue]").locator("xpath=..").bounding_box()
    track = box.bounding_box()
    if not thumb or not track:
        return None
    x, y = thumb["x"] + thumb["width"] / 2, thumb["y"] + thumb["height"] / 2
    pixels = direction * max(2, math.ceil(track["width"] / max(slider["right"] + slider["left"], 1)))
    times: list[float | None] = []
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(ARM_AT_MOVES)
    # A single move may go unanswered: the kit reads a slider's value before the move has changed it.
    while len(times) < DRAG_MOVES and (len(times) < 2 or any(times[-2:])):
        page.mouse.move(x + (len(times) + 1) * pixels, y)
        wait = "([patience, quiet]) => window.repaint.wait(patience, quiet)"
        times.append(page.evaluate(wait, [DRAG_PATIENCE_MS, QUIET_MS])["taken"])
    page.mouse.up()
    found = [taken for taken in times if taken is not None]
    return statistics.median(found) if found else None

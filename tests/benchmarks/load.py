"""Twenty people at once: each at a lab, moving its sliders; errors, updates, and the memory of the server."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from pages.kit.discovery import Entry
from tests.benchmarks.report import Row, show
from tests.benchmarks.server import serving
from tests.browser.conftest import ROOT
from tests.chromium import chromium

SESSIONS = 20
STEADY_GROWTH = 0.1  # of memory over the last quarter
SAMPLE_SECONDS = 2.0
VIEWPORT = {"width": 700, "height": 600}

# Each page moves its own sliders, so that twenty are truly at it at once: a small or a large step, either way, then a look
# at what came of it and a breath. A step that changes nothing on the figure costs a reader's patience.
MOVE = """
(patience) => {
  const tally = (window.tally = { moves: 0, waits: [], errors: [], going: true })
  const keys = ["ArrowRight", "ArrowLeft", "PageUp", "PageDown"]
  const any = (list) => list[Math.floor(Math.random() * list.length)]
  const pause = (ms) => new Promise((done) => setTimeout(done, ms))
  const options = { subtree: true, attributes: true, attributeFilter: ["data-drawn"] }
  let drawn = 0
  new MutationObserver(() => { drawn += 1 }).observe(document.body, options)
  const look = () => {
    for (const box of document.querySelectorAll('[data-testid="stException"], [data-testid="stAlert"]')) {
      const words = box.innerText
      const failed = box.dataset.testid === "stException" || words.includes("could not be computed")
      if (failed && !tally.errors.includes(words)) tally.errors.push(words)
    }
  }
  const step = async () => {
    const slider = any([...document.querySelectorAll('input[type="range"]')])
    if (!slider) return
    const [key, before, start] = [any(keys), slider.value, performance.now()]
    drawn = 0
    slider.dispatchEvent(new KeyboardEvent("keydown", { key, code: key, bubbles: true, cancelable: true }))
    slider.dispatchEvent(new KeyboardEvent("keyup", { key, code: key, bubbles: true }))
    await pause(20)
    if (slider.value === before) return // it stands at its end
    tally.moves += 1
    while (tally.going && !drawn && performance.now() - start < patience) await pause(20)
    if (drawn) tally.waits.push(performance.now() - start)
  }
  const live = async () => {
    while (tally.going) {
      await step()
      look()
      await pause(300 + 400 * Math.random())
    }
  }
  live()
}
"""
PATIENCE_MS = 10_000


def main(labs: Sequence[Entry], duration: float, sessions: int = SESSIONS) -> list[Row]:
    """Load a server for so many seconds and print what became of it."""
    with serving(ROOT) as server, chromium() as browser:
        errors: list[str] = []
        pages = [_visit(browser, server.url, labs[k % len(labs)], errors) for k in range(sessions)]
        for page in pages:
            page.evaluate(MOVE, PATIENCE_MS)
        begin = time.monotonic()
        memory: list[tuple[float, float]] = []
        while (elapsed := time.monotonic() - begin) < duration:
            memory.append((elapsed, server.resident_mb()))
            # Through Playwright and not time.sleep, so that what pages report is heard.
            pages[0].wait_for_timeout(1e3 * min(SAMPLE_SECONDS, duration - elapsed))
        memory.append((duration, server.resident_mb()))
        rows = [_session(page, labs[k % len(labs)]) for k, page in enumerate(pages)]
        for row in rows:
            errors += row.pop("said")
        tracebacks = server.tracebacks()
        if tracebacks:
            print(server.log.read_text(errors="replace")[-4000:], file=sys.stderr)
    notes = _memory(memory, duration)
    silent = sum(row["updates"] == 0 for row in rows)
    notes.append(f"{sum(row['moves'] for row in rows)} moves, {sum(row['updates'] for row in rows)} updates, in {duration:.0f} s.")
    notes.append(f"{len(errors)} errors on pages, {tracebacks} in the server's log, {silent} sessions without an update.")
    notes += sorted(set(errors))[:10]
    show(f"Load: {sessions} sessions", rows, notes)
    return rows


def _visit(browser: Browser, url: str, entry: Entry, errors: list[str]) -> Page:
    page = browser.new_context(viewport=VIEWPORT).new_page()
    page.on("pageerror", lambda error: errors.append(f"{entry.path}: {error}"))
    page.goto(f"{url}/{entry.url}", timeout=120_000)
    page.wait_for_selector("[data-testid=stSlider], [data-testid=stSelectbox]", timeout=120_000)
    return page


def _session(page: Page, entry: Entry) -> Row:
    row: Row = {"lab": entry.path, "moves": 0, "updates": 0, "median ms": None, "slowest ms": None}
    try:
        tally = page.evaluate("() => { window.tally.going = false; return window.tally }")
    except PlaywrightError as error:
        return row | {"said": [f"{entry.path}: {str(error).splitlines()[0]}"]}
    waits, said = tally["waits"], [f"{entry.path}: {words[:200]}" for words in tally["errors"]]
    row |= {"moves": tally["moves"], "updates": len(waits), "said": said}
    return row | ({"median ms": float(np.median(waits)), "slowest ms": max(waits)} if waits else {})


def _memory(memory: list[tuple[float, float]], duration: float) -> list[str]:
    times, sizes = np.array(memory).T
    # Memory breathes with every computation: the level at a time is the median of the samples around it.
    around = max(2 * SAMPLE_SECONDS, duration / 20)
    level = {q: float(np.median(sizes[np.abs(times - q * duration) <= around])) for q in (0.0, 0.25, 0.5, 0.75, 1.0)}
    growth = level[1.0] / level[0.75] - 1
    at = ", ".join(f"{q:.0%} {size:.0f} MB" for q, size in level.items())
    says = "it levels off" if growth < STEADY_GROWTH else "it DOES NOT LEVEL OFF"
    return [
        f"Resident memory of the server: {at}; most {sizes.max():.0f} MB.",
        f"Growth over the last quarter {growth:+.1%}: {says}.",
    ]

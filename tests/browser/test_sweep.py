"""A sweep from a lab to its file, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from compute.statistical_physics.kernel_density_large_dimension import phase_plane
from tests.browser.conftest import start_app
from tests.browser.test_app import CHART, LAB, open_lab, settle

QUERY = "lab=kernel_density_large_dimension&view=regimes&x=load:0.1:1:6:linear&y=bandwidth:0.2:2:5:log&metric=effective+samples"


@pytest.fixture(scope="module")
def sweeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, url = start_app(environment={"REGIMES_CACHE": str(tmp_path_factory.mktemp("sweeps"))})
    yield url
    process.terminate()
    process.wait(10)


# A chart is replaced when its page runs again: at any one moment there may be none, or one not yet drawn.
MAP = """(complete) => {
  const drawn = document.querySelector(".st-key-sweep-chart .js-plotly-plot")?._fullData
  const rows = drawn?.find((trace) => trace.type === "heatmap")?.customdata
  if (!rows || (complete && !rows.every((row) => row.every(Number.isFinite)))) return null
  return [...rows].map((row) => [...row])
}"""


def map_of(page: Page, *, complete: bool = True) -> np.ndarray:
    page.wait_for_selector(f".st-key-sweep-chart {CHART} .main-svg", timeout=60_000)
    return np.array(page.wait_for_function(MAP, arg=complete, timeout=60_000).json_value(), dtype=float)


def test_a_lab_leads_to_its_sweep(page: Page, sweeping: str) -> None:
    open_lab(page, sweeping, f"{LAB}?load=0.3")
    page.get_by_role("button", name="Sweep", exact=True).click()
    page.wait_for_url(re.compile("/sweep.*at.load=0.3"))
    expect(page.get_by_role("button", name=re.compile("^Run"))).to_be_visible()


def test_a_sweep_runs_and_its_link_reopens_it(browser: Browser, page: Page, sweeping: str, tmp_path: Path) -> None:
    page.goto(f"{sweeping}/sweep?{QUERY}")
    page.get_by_role("button", name=re.compile("^Run")).click()
    page.locator(".st-key-sweep-stop").wait_for(state="detached", timeout=120_000)
    settle(page)
    shown = map_of(page)
    exact = phase_plane(load=0.1, bandwidth=0.2).headline()["effective samples"]
    assert shown.shape == (5, 6) and shown[0, 0] == pytest.approx(exact, rel=1e-9)
    with page.expect_download() as caught:
        page.get_by_role("button", name="CSV", exact=True).click()
    caught.value.save_as(tmp_path / "sweep.csv")
    table = pl.read_csv(tmp_path / "sweep.csv")
    assert table["effective samples"].to_numpy() == pytest.approx(shown.ravel())
    other = browser.new_context()
    again = other.new_page()
    again.goto(f"{sweeping}/sweep?{QUERY}")
    assert map_of(again) == pytest.approx(shown)
    assert again.get_by_role("button", name=re.compile("^Run")).count() == 0
    other.close()


def test_a_sweep_stops_and_keeps_what_is_done(page: Page, sweeping: str) -> None:
    page.goto(f"{sweeping}/sweep?{QUERY.replace(':6:', ':60:').replace(':5:', ':60:')}")
    page.get_by_role("button", name=re.compile("^Run")).click()
    expect(page.get_by_text(re.compile(r"\d+% done"))).to_be_visible(timeout=60_000)
    page.wait_for_function("() => /[1-9]\\d*% done/.test(document.body.innerText)", timeout=60_000)
    page.get_by_role("button", name="Stop").last.click()
    expect(page.get_by_role("button", name=re.compile("^Continue"))).to_be_visible(timeout=30_000)
    kept = map_of(page, complete=False)
    assert 0 < np.isfinite(kept).sum() < kept.size


@pytest.mark.parametrize(
    "query,says",
    [
        ("lab=nothing", "names no lab"),
        (f"{QUERY}&x=nothing:1:2:3:log", "cannot be followed"),
        (QUERY.replace("0.1:1:6", "9:1:6"), "cannot be followed"),
    ],
)
def test_hostile_sweep_links_get_a_sentence(page: Page, sweeping: str, query: str, says: str) -> None:
    page.goto(f"{sweeping}/sweep?{query}")
    expect(page.get_by_text(re.compile(says)).first).to_be_visible()

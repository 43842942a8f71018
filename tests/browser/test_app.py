"""The app as its user meets it, in a real Chromium."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import start_app

LAB = "kernel_density_large_dimension"
CHART = ".js-plotly-plot"
SETTLED = "() => !document.querySelector('[data-testid=stStatusWidget]') && !document.querySelector('[data-testid=stSkeleton]')"


def open_lab(page: Page, app: str, path: str = LAB) -> None:
    page.goto(f"{app}/{path}")
    page.wait_for_selector(f"{CHART} .main-svg", timeout=60_000)
    settle(page)


def settle(page: Page) -> None:
    page.wait_for_function(SETTLED)
    page.wait_for_timeout(400)


def slider(page: Page, name: str) -> Locator:
    return page.locator(f".st-key-{LAB}-slide-{name}")


def thumb_value(page: Page, name: str) -> str:
    return slider(page, name).locator("[data-testid=stSliderThumbValue]").inner_text()


def headline(page: Page, label: str) -> str:
    return page.locator(".regimes-headline div", has=page.locator(f"dt:text-is('{label}')")).locator("dd").inner_text()


def chart_of(page: Page, trace: str) -> list[float]:
    return page.evaluate(
        f"""(name) => {{ const c = document.querySelector('{CHART}'); const t = c._fullData.find(t => t.name === name)
        return t ? [...t.y] : [] }}""",
        trace,
    )


def drag(page: Page, name: str, by: float, *, release: bool = True) -> None:
    handle = slider(page, name).locator("[data-testid=stSliderThumbValue]").locator("xpath=..")
    box = handle.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 13):
        page.mouse.move(x + by * step / 12, y)
        page.wait_for_timeout(60)
    if release:
        page.mouse.up()


def test_first_visit(page: Page, app: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(app)
    expect(page.get_by_role("heading", name="Regimes")).to_be_visible()
    expect(page.locator("[data-testid=stImage] img").first).to_be_visible()
    page.get_by_placeholder("Search labs").fill("kernel density")
    page.get_by_placeholder("Search labs").press("Enter")
    link = page.get_by_role("link", name=re.compile("few neighbors own"))
    expect(link).to_be_visible()
    link.click()
    page.wait_for_selector(f"{CHART} .main-svg")
    assert page.url.split("?")[0].endswith(LAB)
    assert page.get_by_text("Deploy").count() == 0
    assert not errors


def test_figure_follows_a_drag_and_the_url_its_release(page: Page, app: str) -> None:
    open_lab(page, app)
    before = headline(page, "samples n")
    drag(page, "dimension", 40, release=False)
    expect(page.locator(".regimes-headline")).not_to_contain_text(before, timeout=5000)
    during = headline(page, "samples n")
    assert "dimension=" not in page.url
    page.mouse.up()
    page.wait_for_url(re.compile("dimension="))
    settle(page)
    value = int(thumb_value(page, "dimension"))
    assert f"dimension={value}" in page.url and value > 20
    assert headline(page, "samples n") == during or during != before
    assert page.locator(f".st-key-{LAB}-text-dimension input").input_value() == str(value)


def test_zoom_survives_a_slider(page: Page, app: str) -> None:
    open_lab(page, app, f"{LAB}?view=log-density")
    plot = page.locator(f"{CHART} .nsewdrag").first.bounding_box()
    assert plot
    page.mouse.move(plot["x"] + 0.3 * plot["width"], plot["y"] + 0.3 * plot["height"])
    page.mouse.down()
    page.mouse.move(plot["x"] + 0.7 * plot["width"], plot["y"] + 0.7 * plot["height"], steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    zoomed = page.evaluate(f"() => document.querySelector('{CHART}')._fullLayout.xaxis.range[0]")
    assert zoomed > -0.8
    drag(page, "load", 25)
    page.wait_for_url(re.compile("load="))
    settle(page)
    assert page.evaluate(f"() => document.querySelector('{CHART}')._fullLayout.xaxis.range[0]") == pytest.approx(zoomed)


def test_typed_values_and_their_bounds(page: Page, app: str) -> None:
    open_lab(page, app)
    box = page.locator(f".st-key-{LAB}-text-bandwidth input")
    box.fill("0.4567")
    box.press("Enter")
    page.wait_for_url(re.compile("bandwidth=0.4567"))
    expect(slider(page, "bandwidth").locator("[data-testid=stSliderThumbValue]")).to_have_text("0.4567")
    box.fill("70")
    box.press("Enter")
    expect(page.get_by_text("takes a number from 0.1 to 3")).to_be_visible()
    page.wait_for_url(re.compile(r"bandwidth=3(&|$)"))
    box.fill("wide")
    box.press("Enter")
    expect(page.get_by_text("not 'wide'")).to_be_visible()
    settle(page)
    assert box.input_value() == "3"
    assert page.locator(CHART).count() == 1


def test_what_cannot_be_computed_is_said_beside_its_control(page: Page, app: str) -> None:
    open_lab(page, app, "population_dynamics?view=chaos")

    def typed(name: str, value: str) -> None:
        box = page.locator(f".st-key-population_dynamics-text-{name} input")
        box.fill(value)
        box.press("Enter")
        settle(page)

    said = page.locator("[data-testid=stColumn]").first.locator("[data-testid=stAlert]")
    typed("kappa", "-2")
    expect(said).to_contain_text("has to be above −θ")
    expect(page.get_by_text("The figure below is the last that could be computed.")).to_be_visible()
    typed("theta", "2.5")
    expect(said).to_have_count(0)
    expect(page.locator(".regimes-headline")).to_be_visible()
    assert "kappa=-2" in page.url and "theta=2.5" in page.url


def test_presets_and_views(page: Page, app: str) -> None:
    open_lab(page, app)
    page.get_by_role("button", name="Frozen (h = h_G/2)").click()
    page.wait_for_url(re.compile("view=stable-tail"))
    settle(page)
    assert headline(page, "regime") == "extreme value"
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_function("() => !location.search.includes('bandwidth')")


def test_a_click_on_a_phase_diagram_goes_there(page: Page, app: str) -> None:
    open_lab(page, app)
    plot = page.locator(f"{CHART} .nsewdrag").first.bounding_box()
    assert plot
    page.mouse.click(plot["x"] + plot["width"] * 0.75, plot["y"] + plot["height"] * 0.2)
    page.wait_for_url(re.compile("load=1"))
    settle(page)
    load = float(thumb_value(page, "load"))
    assert load == pytest.approx(0.05 + 0.75 * 1.45, abs=0.03)
    assert headline(page, "regime") == "Gaussian (CLT)"
    here = page.evaluate(f"() => document.querySelector('{CHART}')._fullData.find(t => t.name === 'you are here').x[0]")
    assert here == pytest.approx(load, abs=0.006)


def test_permalink_reopens_the_same_picture(browser: Browser, page: Page, app: str) -> None:
    open_lab(page, app)
    page.get_by_role("button", name="Stable (μ = 1.44)").click()
    page.wait_for_url(re.compile("view="))
    settle(page)
    first = chart_of(page, "simulation")
    context = browser.new_context()
    again = context.new_page()
    again.goto(page.url)
    again.wait_for_selector(f"{CHART} .main-svg", timeout=60_000)
    settle(again)
    assert first and chart_of(again, "simulation") == first
    context.close()


@pytest.mark.parametrize(
    "query,says",
    [
        ("load=7", "takes a number from 0.05 to 1.5"),
        ("bandwidth=%3Cscript%3Ealert(1)%3C/script%3E", "takes a number from 0.1 to 3"),
        ("view=nonsense", "The link names a view that is not here"),
        ("zzz=1", "not a parameter of this lab"),
        ("dimension=1e400", "takes an integer from 5 to 60"),
    ],
)
def test_hostile_permalinks_get_a_sentence_and_a_page(page: Page, app: str, query: str, says: str) -> None:
    open_lab(page, app, f"{LAB}?{query}")
    expect(page.get_by_text(says).first).to_be_visible()
    assert page.locator(CHART).count() == 1


def test_exports_agree_with_the_table(page: Page, app: str, tmp_path: Path) -> None:
    open_lab(page, app, f"{LAB}?view=log-density&load=0.3")
    exports: dict[str, Path] = {}
    for name in ("PNG", "SVG", "HTML", "CSV", "Parquet"):
        with page.expect_download() as caught:
            page.get_by_role("button", name=name, exact=True).click()
        exports[name] = tmp_path / caught.value.suggested_filename
        caught.value.save_as(exports[name])
    table = pl.read_csv(exports["CSV"])
    assert (
        table.equals(pl.read_parquet(exports["Parquet"]), null_equal=True)
        or table.shape == pl.read_parquet(exports["Parquet"]).shape
    )
    drawn = chart_of(page, "simulation ± 2 SE")
    assert drawn == pytest.approx(table["simulation"].drop_nulls().to_list(), rel=1e-12)
    image = Image.open(io.BytesIO(exports["PNG"].read_bytes()))
    assert image.width > 1500 and len(set(image.convert("L").resize((64, 64)).get_flattened_data())) > 5
    svg = exports["SVG"].read_text()
    assert svg.lstrip().startswith("<svg") and "bandwidth h" in svg
    html = exports["HTML"].read_text()
    assert "exact at this d" in html and "https://cdn" not in html[:20000]
    page.goto(f"file://{exports['HTML']}")
    page.wait_for_selector(f"{CHART} .main-svg")
    assert chart_of(page, "simulation ± 2 SE") == pytest.approx(drawn)


def test_snippet_computes_the_same_numbers(page: Page, app: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    open_lab(page, app, f"{LAB}?view=log-density&load=0.3")
    drawn = chart_of(page, "simulation ± 2 SE")
    page.get_by_role("button", name="Python").click()
    code = page.get_by_test_id("stDialog").locator("code").inner_text()
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(root), "PATH": ""}, check=True, capture_output=True
    )
    table = pl.read_csv(tmp_path / "log_density.csv")
    assert drawn == pytest.approx(table["simulation"].drop_nulls().to_list(), rel=1e-12)


PINNED = f"() => document.querySelector('{CHART}')._fullData.filter(t => t.name.startsWith('pinned')).map(t => [...t.y])"


def test_pins_are_named_linked_exported_and_removed(browser: Browser, page: Page, app: str, tmp_path: Path) -> None:
    open_lab(page, app, f"{LAB}?view=kl-gap")
    first = chart_of(page, "exact at this d")
    page.get_by_role("button", name="Pin this state").click()
    page.wait_for_function(f"() => document.querySelector('{CHART}')._fullData.some(t => t.name.startsWith('pinned'))")
    drag(page, "load", 40)
    page.wait_for_url(re.compile("load="))
    settle(page)
    assert any(curve == pytest.approx(first) for curve in page.evaluate(PINNED))
    assert chart_of(page, "exact at this d") != pytest.approx(first)

    page.get_by_role("button", name="defaults").click()
    page.get_by_label("Name").fill("where I began | & 100%")
    page.get_by_label("Name").press("Enter")
    expect(page.get_by_role("button", name="where I began | & 100%")).to_be_visible()
    page.wait_for_url(re.compile("pins="))
    settle(page)
    page.keyboard.press("Escape")

    with page.expect_download() as caught:
        page.get_by_role("button", name="CSV", exact=True).click()
    caught.value.save_as(tmp_path / "pins.csv")
    assert set(pl.read_csv(tmp_path / "pins.csv")["pin"]) == {"present", "where I began | & 100%"}

    other = browser.new_context()
    again = other.new_page()
    open_lab(again, page.url, "")
    again.wait_for_function(f"() => document.querySelector('{CHART}')._fullData.some(t => t.name.startsWith('pinned'))")
    assert any(curve == pytest.approx(first) for curve in again.evaluate(PINNED))
    again.get_by_role("button", name="where I began | & 100%").click()
    again.get_by_role("button", name="Remove").click()
    again.wait_for_function(f"() => !document.querySelector('{CHART}')._fullData.some(t => t.name.startsWith('pinned'))")
    other.close()


def test_a_long_view_runs_shows_progress_and_stops(page: Page, app: str) -> None:
    open_lab(page, app)
    page.goto(f"{app}/{LAB}?view=log-density&load=0.57&test_points=2000")
    page.get_by_role("button", name=re.compile("^Run")).click()
    expect(page.get_by_text(re.compile(r"\d+% done"))).to_be_visible()
    page.wait_for_selector(f"{CHART} .main-svg")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text(re.compile("Stopped at"))).to_be_visible()
    assert page.locator(CHART).count() == 1
    expect(page.get_by_role("button", name=re.compile("^Run"))).to_be_visible()


def test_movie_plays_in_the_browser(page: Page, app: str) -> None:
    open_lab(page, app, f"{LAB}?view=who-owns-it")
    requests: list[str] = []
    page.on("websocket", lambda socket: requests.append("opened"))
    first = chart_of(page, "share of each sample")
    page.evaluate(
        f"() => window.Plotly.animate(document.querySelector('{CHART}'), ['39'], {{mode: 'immediate', frame: {{duration: 0}}}})"
    )
    page.wait_for_timeout(500)
    last = chart_of(page, "share of each sample")
    assert last != first and last[0] > 0.9
    assert not requests


@pytest.mark.parametrize("scheme,dark", [("light", False), ("dark", True)])
def test_both_themes_reach_the_figure(browser: Browser, app: str, scheme: str, dark: bool) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1400, "height": 1000})
    opened = context.new_page()
    open_lab(opened, app, f"{LAB}?view=log-density")
    paper = opened.evaluate(f"() => document.querySelector('{CHART}')._fullLayout.paper_bgcolor")
    assert (paper == "#171614") is dark
    context.close()


def test_phone_width_stacks_controls_above(browser: Browser, app: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    open_lab(opened, app, f"{LAB}?view=log-density")
    chart, control = opened.locator(CHART).bounding_box(), slider(opened, "load").bounding_box()
    assert chart and control and control["y"] + control["height"] <= chart["y"]
    assert chart["width"] <= 390 and opened.evaluate("() => document.documentElement.scrollWidth") <= 391
    context.close()


def test_panels_stand_below_each_other_on_a_phone(browser: Browser, app: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    opened.goto(f"{app}/pass_until")
    opened.wait_for_selector(f"{CHART}[data-drawn]")
    places = "() => Object.values(document.querySelector('.regimes-chart')._fullLayout._plots).map(p => [p.xaxis._offset, p.yaxis._offset])"
    left, top = zip(*opened.evaluate(places), strict=True)
    assert len(top) > 1 and max(left) - min(left) < 1 and len(set(top)) == len(top)
    opened.set_viewport_size({"width": 1400, "height": 1000})
    opened.wait_for_function(f"() => new Set(({places})().map((p) => p[1])).size === 1")
    context.close()


def test_a_session_lives_while_another_computes(browser: Browser, app: str) -> None:
    busy, calm = browser.new_context(), browser.new_context(viewport={"width": 1400, "height": 1000})
    worker, reader = busy.new_page(), calm.new_page()
    open_lab(reader, app)
    worker.goto(f"{app}/{LAB}?view=log-density&load=0.575&test_points=2000")
    worker.get_by_role("button", name=re.compile("^Run")).click()
    expect(worker.get_by_text(re.compile(r"\d+% done"))).to_be_visible(timeout=30_000)
    reader.get_by_role("button", name="Nearest-neighbor limit").click()
    reader.wait_for_url(re.compile("load=1.2"), timeout=5000)
    settle(reader)
    assert headline(reader, "h / h_G") != ""
    assert worker.get_by_role("button", name="Stop").count() == 1, "the long run ended too soon to show anything"
    worker.get_by_role("button", name="Stop").click()
    busy.close()
    calm.close()


def test_a_first_run_says_that_it_compiles(page: Page, tmp_path: Path) -> None:
    process, url = start_app(environment={"NUMBA_CACHE_DIR": str(tmp_path)})
    try:
        page.goto(f"{url}/{LAB}")
        expect(page.get_by_text("Compiling this lab’s kernels")).to_be_visible()
        page.wait_for_selector(f"{CHART} .main-svg", timeout=90_000)
        expect(page.get_by_text("Compiling this lab’s kernels")).to_have_count(0)
    finally:
        process.terminate()
        process.wait(10)


def test_atlas_finds_a_paper_and_its_lab(page: Page, app: str, tmp_path: Path) -> None:
    page.goto(f"{app}/atlas?paper=011")
    expect(page.get_by_text("Kernel Density Estimators in Large Dimensions").first).to_be_visible()
    with page.expect_download() as caught:
        page.locator("[data-testid=stDownloadButton] button").click()
    caught.value.save_as(tmp_path / "papers.csv")
    assert pl.read_csv(tmp_path / "papers.csv").height == 501
    page.get_by_role("link", name="Open its lab").click()
    page.wait_for_selector(f"{CHART} .main-svg")
    assert LAB in page.url

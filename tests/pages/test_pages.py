"""Every page runs in Streamlit's own test runner: home, atlas, topics, and each lab with its controls."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from compute.parameters import Dataset
from pages.kit.discovery import Entry, entries, papers, topics
from pages.kit.gallery import thumbnail
from pages.kit.papers import STATUSES, catalogue, status_now
from pages.kit.run import is_live
from pages.kit.state import LabState, slug
from tests.pictures import THUMBNAIL_BYTES

ROOT = Path(__file__).parents[2]
LABS = [pytest.param(entry, id=entry.name) for entry in entries()]


def lab_page(path: str) -> None:
    """What a lab's page runs, by the lab's path."""
    import streamlit as st

    from pages.kit.discovery import entries
    from pages.kit.page import render

    st.session_state["pages"] = {}
    render(next(entry for entry in entries() if entry.path == path))


def open_lab(entry: Entry, **query: str) -> AppTest:
    test = AppTest.from_function(lab_page, kwargs={"path": entry.path}, default_timeout=120)
    for name, value in query.items():
        test.query_params[name] = value
    return test.run()


def warnings(test: AppTest) -> str:
    return " ".join(element.value for element in [*test.warning, *test.error])


@pytest.mark.parametrize("entry", LABS)
def test_a_card_says_what_the_lab_is(entry: Entry) -> None:
    lab, card = entry.lab, entry.card
    assert (card.title, card.question, card.papers) == (lab.title, lab.question, lab.papers)
    assert card.views == tuple(view.title for view in lab.views)
    assert card.kinds == tuple(dict.fromkeys(view.kind for view in lab.views))


@pytest.mark.parametrize("search,finds", [("", True), ("kernel density", True), ("no such thing anywhere", False)])
def test_home(search: str, finds: bool) -> None:
    # A run each: Streamlit's test runner loses its place in an app whose pages are functions when it runs again.
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    if search:
        test.query_params["search"] = search
    test.run()
    assert not test.exception and test.title[0].value == "Regimes"
    assert bool(test.caption) is finds and bool(test.info) is not finds


@pytest.mark.parametrize("entry", LABS)
def test_a_lab_opens_with_each_view(entry: Entry) -> None:
    for view in entry.lab.views:
        if not is_live(view.experiment, {}):
            continue
        test = open_lab(entry, view=slug(view.title))
        assert not test.exception, f"{view.title}: {test.exception}"
        assert not test.error, f"{view.title}: {[e.value for e in test.error]}"
        assert "could not be computed" not in warnings(test)


@pytest.mark.parametrize("entry", LABS)
def test_hostile_permalinks(entry: Entry) -> None:
    """Whatever a link says: a sentence, and a page."""
    names = list(entry.lab.parameters)
    for query in (
        {names[0]: "1e999", names[-1]: "-1e999", "view": "../../etc/passwd", "nothing": "x" * 5000},
        {name: "NaN" for name in names} | {names[0]: "<script>alert(1)</script>", "pins": "name=a&b=c|%00"},
    ):
        test = open_lab(entry, **query)
        assert not test.exception, (query, test.exception)
        assert warnings(test), query
        assert len(warnings(test)) < 3000


@pytest.mark.parametrize("entry", LABS)
def test_a_hostile_link_is_answered_part_by_part(entry: Entry) -> None:
    """Each thing that a link may not say gets a sentence of its own and leaves allowed values."""
    lab = entry.lab
    said: list[tuple[str, str, str]] = [
        ("view", "../../etc/passwd", ""),
        ("nothing", "x" * 5000, ""),
        ("pins", "name=a&b=c|%00", ""),
        *((name, text, name) for name in lab.parameters for text in ("NaN", "1e999", "-1e999", "<script>alert(1)</script>", "")),
    ]
    for name, text, blamed in said:
        state = LabState(entry, dict(lab.defaults), lab.views[0].title)
        state.read_url({name: text})
        is_table = isinstance(lab.parameters.get(name), Dataset)  # which a link cannot carry
        assert 0 < len(state.problems.get("" if is_table else blamed, "")) < 500, (name, text, state.problems)
        for other, parameter in lab.parameters.items():
            if state.values[other] is not None:
                parameter.validate(other, state.values[other])


@pytest.mark.parametrize("entry", LABS)
def test_a_permalink_carries_every_parameter(entry: Entry) -> None:
    rng = np.random.default_rng(5)
    for view in entry.lab.views:
        state = LabState(entry, {name: parameter.draw(rng) for name, parameter in entry.lab.parameters.items()}, view.title)
        again = LabState(entry, dict(entry.lab.defaults), entry.lab.views[0].title)
        again.read_url(state.query())
        assert again.values == state.values and again.view == state.view and not again.problems


@pytest.mark.parametrize("entry", LABS)
def test_presets_from_the_page(entry: Entry) -> None:
    title, preset = next(iter(entry.lab.presets.items()))
    test = open_lab(entry)
    test.button(key=f"{entry.name}-preset-{title}").click().run()
    assert not test.exception
    shown = test.session_state[f"lab:{entry.name}"]
    for name, value in preset.items():
        assert (shown.view if name == "view" else shown.values[name]) == value


@pytest.mark.parametrize("entry", LABS)
def test_a_lab_has_its_files(entry: Entry) -> None:
    topic, lab = entry.topic_name, entry.name
    assert (ROOT / "compute" / topic / f"{lab}.py").exists() or (ROOT / "compute" / topic / lab / "__init__.py").exists()
    assert (ROOT / "tests" / "compute" / topic / f"test_{lab}.py").exists()
    path = thumbnail(entry)
    assert path.exists(), f"make it: python -m tests.pictures thumbnails {entry.path}"
    assert path.stat().st_size < THUMBNAIL_BYTES
    image = Image.open(path).convert("RGBA").resize((60, 40))
    assert len(set(image.get_flattened_data())) > 20, "the thumbnail shows nothing"


def test_names_are_urls_of_their_own() -> None:
    names = [entry.url for entry in entries()] + list(topics()) + ["atlas", "home", "sweep"]
    assert len(names) == len(set(names))


def test_atlas_says_what_the_labs_show() -> None:
    table = catalogue()
    assert table.height == 501 and table["id"].n_unique() == 501
    assert set(table["status"]) <= set(STATUSES)
    now = status_now()
    for row in table.iter_rows(named=True):
        live = row["status"].startswith("live")
        assert live == (row["id"] in now), f"{row['id']} is {row['status']}: python -m pages.kit.papers"
        if live:
            assert (row["status"], row["lab"]) == now[row["id"]], f"{row['id']}: python -m pages.kit.papers"
        assert row["summary"] and row["title"]
        assert (row["status"] == "out of reach") or row["lab"], row["id"]


def test_each_paper_has_one_home() -> None:
    counted = [paper for entry in entries() for paper in entry.card.papers]
    assert len(counted) == len(set(counted)) == len(papers())
    assert set(counted) <= set(catalogue()["id"])


def test_snippet_names_only_what_differs() -> None:
    from pages.kit.export import snippet
    from pages.kit.state import Shown

    entry = next(e for e in entries() if e.name == "kernel_density_large_dimension")
    view = entry.lab.views[0]
    values: dict[str, Any] = dict(view.experiment.defaults) | {"load": 0.3}
    code = snippet(Shown(view, values, SimpleNamespace()))
    assert "load=0.3" in code and "bandwidth=" not in code and "streamlit" not in code
    compile(code, "snippet", "exec")


def test_pins_survive_a_link_and_bad_ones_get_a_sentence() -> None:
    from pages.kit import pins

    lab = next(e for e in entries() if e.name == "kernel_density_large_dimension").lab
    made = [
        pins.Pin("a | b & c=100%", dict(lab.defaults) | {"load": 0.3}),
        pins.Pin("defaults", dict(lab.defaults)),
    ]
    found, problems = pins.read(lab, pins.written(lab, made))
    assert [(pin.name, pin.values) for pin in found] == [(pin.name, pin.values) for pin in made] and not problems
    found, problems = pins.read(lab, "name=x&load=99|name=y&nothing=1|name=z&load=nan|name=good&load=0.4|%00|||||")
    assert found[0].name == "good" and found[0].values["load"] == 0.4 and len(found) <= pins.MAX_PINS
    assert all(any(f"“{name}”" in sentence for sentence in problems) for name in "xyz")
    assert pins.unique("present", made) == "present (2)"

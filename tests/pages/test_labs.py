"""The contract of a lab, held over every lab that discovery finds.

Run one lab with ``pytest tests/pages -k chinchilla``.
"""

from __future__ import annotations

import random
import re
import time
import zlib
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from compute.parameters import Choice, Number, ParameterError
from pages.kit.discovery import Entry, entries
from pages.kit.lab import View
from pages.kit.run import is_live
from pages.kit.style import themed

VIEWS = [pytest.param(e, v, id=f"{e.name}-{v.title}") for e in entries() for v in e.lab.views]
# The suite must stay short however many labs there are: beyond so many points, a drawn share of each view's; -m thorough
# takes all.
POINTS, FEWEST_POINTS = 2400, 6
PER_VIEW = max(FEWEST_POINTS, POINTS // max(1, len(VIEWS)))


def corners(view: View) -> list[dict[str, Any]]:
    """The defaults with one parameter at each of its extremes, and seeded random points."""
    experiment = view.experiment
    found = [{name: value} for name, parameter in experiment.parameters.items() for value in parameter.extremes()]
    rng = np.random.default_rng(zlib.crc32(f"{experiment.lab}:{view.title}".encode()))
    for _ in range(3):
        found.append({name: parameter.draw(rng) for name, parameter in experiment.parameters.items()})
    return found


def numbers(value: Any) -> np.ndarray:
    """The finite numbers in a trace's data, rounded to six digits."""
    try:
        flat = np.asarray(value, dtype=float).ravel()
    except (TypeError, ValueError):
        return np.empty(0)
    flat = flat[np.isfinite(flat)]
    return np.array([float(f"{v:.6g}") for v in flat])


def check(view: View, values: dict[str, Any]) -> None:
    """One point of a view: a finite table, a figure in both themes that shows what the table holds."""
    result = view.experiment(**values)
    table = result.table()
    assert table.height > 0 and table.width > 0
    for column in table.columns:
        if table[column].dtype.is_float():
            sound = table[column].drop_nulls()
            assert sound.is_nan().sum() == 0, f"{column} has NaN"
            assert sound.is_infinite().sum() == 0, f"{column} has an infinity"
    headline = result.headline()
    assert headline and all(isinstance(v, str) or np.isfinite(v) for v in headline.values()), headline
    fig = view.figure(result)
    assert isinstance(fig, go.Figure) and len(fig.data) > 0
    themed(fig, "light"), themed(fig, "dark")
    for trace in fig.data:
        for axis in ("x", "y", "z"):
            data = getattr(trace, axis, None)
            if data is not None and np.asarray(data).dtype.kind == "f":
                assert not np.isinf(np.asarray(data)).any(), f"{trace.name} {axis} is infinite"
    in_table = np.concatenate([numbers(table[c].drop_nulls().to_numpy()) for c in table.columns if table[c].dtype.is_numeric()])
    known = set(in_table.tolist())
    shown = [getattr(t, axis) for t in fig.data for axis in ("x", "y", "z", "values") if getattr(t, axis, None) is not None]
    agree = [np.mean([v in known for v in numbers(s).tolist()]) for s in shown if numbers(s).size > 2]
    assert not agree or max(agree) > 0.99, "no trace of the figure is in the table"


@pytest.mark.parametrize("entry,view", VIEWS)
def test_defaults(entry: Entry, view: View) -> None:
    check(view, {})


@pytest.mark.parametrize("entry,view", VIEWS)
def test_corners(entry: Entry, view: View) -> None:
    """At bounds and at random points: a sound result or a sentence; live only where it is quick."""
    points = [values for values in corners(view) if is_live(view.experiment, values)]
    if len(points) > PER_VIEW:
        points = random.Random(f"{entry.path}:{view.title}").sample(points, PER_VIEW)
    hold(view, points)


def hold(view: View, points: list[dict[str, Any]]) -> None:
    """Each point: a sound result, or a sentence that blames a parameter."""
    experiment = view.experiment
    for values in points:
        start = time.perf_counter()
        try:
            check(view, values)
        except ParameterError as error:
            assert error.name in experiment.parameters and error.reason.endswith("."), (values, error)
        except Exception as error:
            raise AssertionError(f"{view.title} at {values}") from error
        # Generous against a busy machine and a first compilation; the benchmarks hold the true budget.
        assert time.perf_counter() - start < 30 + 3 * experiment.seconds(values), values


@pytest.mark.thorough
@pytest.mark.parametrize("entry,view", VIEWS)
def test_every_corner(entry: Entry, view: View) -> None:
    hold(view, corners(view))


@pytest.mark.parametrize("entry,view", VIEWS)
def test_same_parameters_same_bytes(entry: Entry, view: View) -> None:
    if not is_live(view.experiment, {}):
        pytest.skip("behind Run at its defaults")
    first, second = view.experiment().table(), view.experiment().table()
    assert first.equals(second)


@pytest.mark.parametrize("entry,view", VIEWS)
def test_hidden_parameters_do_nothing(entry: Entry, view: View) -> None:
    """A control that a page hides must not change what it shows."""
    experiment, rng = view.experiment, np.random.default_rng(4)
    hidden = {name: p.draw(rng) for name, p in experiment.parameters.items() if not p.matters(experiment.defaults)}
    if hidden and is_live(experiment, hidden):
        assert experiment(**hidden).table().equals(experiment().table())


@pytest.mark.parametrize("entry", entries(), ids=lambda e: e.name)
def test_presets(entry: Entry) -> None:
    lab = entry.lab
    assert len(lab.presets) >= 3
    for title, preset in lab.presets.items():
        view = lab.view(preset["view"]) if "view" in preset else lab.views[0]
        values = {k: v for k, v in preset.items() if k in view.experiment.parameters}
        assert {k for k in preset if k != "view"} & set(view.experiment.parameters), f"{title} changes nothing on its view"
        if is_live(view.experiment, values):
            check(view, values)


@pytest.mark.parametrize("entry", entries(), ids=lambda e: e.name)
def test_words(entry: Entry) -> None:
    lab = entry.lab
    assert lab.question.endswith("?") and lab.papers
    for name, parameter in lab.parameters.items():
        assert not re.search(r"[_^]\\", parameter.symbol), f"{name}: brace the index of {parameter.symbol}"
        if isinstance(parameter, Choice):
            assert len(parameter.options) > 1, name
        if isinstance(parameter, Number):
            assert parameter.low < parameter.high, name
    for view in lab.views:
        assert view.experiment.doc, view.title
        assert len(view.experiment.parameters) <= 4 or view.controls, f"{view.title}: name the controls that matter first"

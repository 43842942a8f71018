"""What the kit draws with, and what the browser is sent."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from pages.kit import draw
from pages.kit.figure_json import written

X = np.linspace(0, 1, 5)
ARRAYS = [
    X,
    X.astype(np.float32),
    np.arange(5),
    np.arange(5) + 2**40,
    np.arange(5, dtype=np.uint8),
    np.array([1.0, np.nan, 3.0, 4.0, 5.0]),
    np.array(["a", "b", "c", "d", "é"]),
    np.arange(10)[::2],
    np.array([True, False, True, True, False]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: str(a.dtype))
def test_plotly_reads_back_what_is_written(array: np.ndarray) -> None:
    fig = go.Figure(go.Scatter(x=array, y=X, marker={"size": np.float64(3.0)}), layout={"height": 300})
    again = pio.from_json(written(fig)).to_dict()
    as_plotly_writes = pio.from_json(fig.to_json()).to_dict()
    mine, plotly = (_decoded(figure["data"][0]["x"]) for figure in (again, as_plotly_writes))
    assert mine == plotly and again["layout"]["height"] == 300 and again["data"][0]["marker"] == {"size": 3.0}


def _decoded(array: Any) -> list[str]:
    """Whatever its width, as words, so that a NaN equals another."""
    return [str(v) for v in (np.frombuffer(b64decode(array["bdata"]), array["dtype"]) if "bdata" in array else array)]


def test_maps_and_movies_are_written_whole() -> None:
    fig = draw.panels([("a", "b"), ("c", "d")], titles=["left", "right"])
    fig.add_trace(draw.heatmap(X, X, np.outer(X, X).astype(np.float32), "z"), row=1, col=1)
    fig.add_trace(draw.points(X, X, "p", "#000000", standard_error=X), row=1, col=2)
    draw.movie(fig, [[{"x": X, "y": X * k}] for k in range(3)], ["0", "1", "2"], traces=[1])
    mine, plotly = (json.loads(text) for text in (written(fig), fig.to_json()))
    assert mine["layout"] == plotly["layout"] and mine["frames"] == plotly["frames"] and len(mine["frames"]) == 3
    # Plotly leaves single precision as it is, and so do we: nothing is widened on its way.
    assert mine["data"] == plotly["data"]


def test_a_nan_in_a_list_becomes_null() -> None:
    fig = go.Figure(layout={"meta": [1.0, float("nan")]})
    assert json.loads(written(fig))["layout"]["meta"] == [1.0, None]


def test_broken_curves_lift_the_pen_after_each_row() -> None:
    x, y = draw.broken([0.0, 1.0], [[1.0, 2.0], [3.0, 4.0]])
    assert np.array_equal(x, [0, 1, np.nan, 0, 1, np.nan], equal_nan=True)
    assert np.array_equal(y, [1, 2, np.nan, 3, 4, np.nan], equal_nan=True)
    assert draw.broken(np.float32(X), np.float32(X))[0].dtype == np.float32
    stems = draw.stems(X, X - 1, X + 1)
    assert np.array_equal(stems["y"][:3], [-1, 1, np.nan], equal_nan=True)


def test_panels_are_each_their_own() -> None:
    first, second = (
        draw.panels([("a", "b"), ("c", "d")], log_x=[flag, False], titles=[t, t]) for flag, t in ((True, "1"), (False, "2"))
    )
    first.update_xaxes(range=[0, 3], row=1, col=2)
    assert first.layout.xaxis.type == "log" and second.layout.xaxis.type is None and second.layout.xaxis2.range is None
    assert [a.text for a in first.layout.annotations] == ["1", "1"] and second.layout.annotations[0].text == "2"
    assert first.layout.xaxis.domain[1] < first.layout.xaxis2.domain[0]


def test_groups_keep_their_colors() -> None:
    marker = draw.grouped([0, 1, 2], ["#111111", "#222222", "#333333"], 4)
    fig = go.Figure(go.Scatter(x=X[:3], y=X[:3], marker=marker))
    scale, width = fig.data[0].marker.colorscale, marker["cmax"] - marker["cmin"]
    for group, color in enumerate(["#111111", "#222222", "#333333"]):
        place = (group - marker["cmin"]) / width
        below, above = max(s for s in scale if s[0] <= place), min((s for s in scale if s[0] > place), key=lambda s: s[0])
        assert below[1] == above[1] == color

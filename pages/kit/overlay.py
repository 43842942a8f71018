"""What the kit adds to a lab's figure: pinned states, and where the reader stands."""

from __future__ import annotations

from copy import deepcopy
from html import escape
from typing import Any

import plotly.graph_objects as go

from pages.kit import draw
from pages.kit.lab import View
from pages.kit.pins import Pin

PINNABLE = {"scaling curve", "distribution", "spectrum", "trajectory"}
PIN_COLORS = ("#8A8A8A", "#B08D57", "#7A9A7E", "#8C7AA9")


def add_pins(fig: go.Figure, pins: list[Pin], view: View) -> None:
    """Draw pinned states: on curves muted and behind the present ones, on a map that can be clicked as places."""
    present = fig.data
    for k, pin in enumerate(pins):
        color = PIN_COLORS[k % len(PIN_COLORS)]
        if view.kind in PINNABLE:
            _add_curves(fig, pin, view, color, group=f"pin {k}")
        elif view.click:
            _add_place(fig, pin, *(pin.values[name] for name in view.click))
    if view.kind in PINNABLE:
        fig.data = fig.data[len(present) :] + present


def _add_curves(fig: go.Figure, pin: Pin, view: View, color: str, group: str) -> None:
    drawn = pin.figure(view)
    named = False
    for trace in () if drawn is None else deepcopy(drawn.data):
        if trace.type != "scatter" or trace.fill or trace.mode == "text" or trace.showlegend not in (None, True):
            continue
        name = f"pinned: {escape(pin.name)}"
        trace.update(name=name, legendgroup=group, legendrank=2000, showlegend=not named, opacity=0.75, error_y=None)
        if trace.mode and "lines" in trace.mode:
            trace.line.color, trace.line.width = color, 1.5
        if trace.mode and "markers" in trace.mode:
            trace.marker.color, trace.marker.size = color, 5
        named = True
        fig.add_trace(trace)


def _add_place(fig: go.Figure, pin: Pin, x: Any, y: Any) -> None:
    # White within black reads on every part of a map.
    for color, width in (("#000000", 5), ("#ffffff", 2)):
        trace = draw.on_map(x, y, escape(pin.name), size=12).update(mode="markers+text" if width == 2 else "markers")
        trace.marker = {"symbol": "diamond-open", "size": 12, "color": color, "line": {"width": width, "color": color}}
        fig.add_trace(trace.update(textposition="top center", name="pinned"))


def add_here(fig: go.Figure, x: Any, y: Any) -> None:
    """Mark where the reader stands on a map."""
    fig.add_trace(
        go.Scatter(
            x=[x],
            y=[y],
            mode="markers",
            name="you are here",
            marker={"symbol": "circle-open-dot", "size": 17, "color": "#ffffff", "line": {"width": 3, "color": "#ffffff"}},
            showlegend=False,
            hovertemplate="you are here<extra></extra>",
        )
    )
    fig.add_trace(
        go.Scatter(
            x=[x],
            y=[y],
            mode="markers",
            marker={"symbol": "circle-open", "size": 21, "color": "#000000", "line": {"width": 1.5}},
            showlegend=False,
            hoverinfo="skip",
        )
    )

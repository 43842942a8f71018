"""What the kit adds to a lab's figure: pinned curves, and where the reader stands."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from pages.kit.state import Shown

PINNABLE = {"scaling curve", "distribution", "spectrum", "trajectory"}
PIN_COLORS = ("#8A8A8A", "#B08D57", "#7A9A7E", "#8C7AA9")


def add_pins(fig: go.Figure, pins: list[Shown], present: dict[str, Any]) -> None:
    """Draw pinned states behind the present curves, muted, each named by what differs."""
    for k, pin in enumerate(pins):
        old = pin.view.figure(pin.result)
        differs = ", ".join(
            f"{name} {pin.view.experiment.parameters[name].format(value)}"
            for name, value in pin.values.items()
            if value is not None and not hasattr(value, "height") and value != present.get(name)
        )
        named = False
        for trace in old.data:
            if trace.type != "scatter" or trace.fill or trace.mode == "text" or trace.showlegend not in (None, True):
                continue
            color = PIN_COLORS[k % len(PIN_COLORS)]
            trace.update(
                name=f"pinned: {differs or 'here'}", legendgroup=f"pin {k}", showlegend=not named, opacity=0.75, error_y=None
            )
            if trace.mode and "lines" in trace.mode:
                trace.line.color, trace.line.width = color, 1.5
            if trace.mode and "markers" in trace.mode:
                trace.marker.color, trace.marker.size = color, 5
            named = True
            fig.add_trace(trace)


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

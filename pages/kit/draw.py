"""Traces that figures are put together from: theory as lines, simulation as points with its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from pages.kit.style import GRAY, MAP, faded

HEIGHT = 460


def figure(
    x: str,
    y: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    x_range: Sequence[float] | None = None,
    y_range: Sequence[float] | None = None,
    height: int = HEIGHT,
) -> go.Figure:
    """An empty figure with labeled axes; ranges are in data units on linear and log axes alike."""
    fig = go.Figure()
    fig.update_layout(height=height)
    fig.update_xaxes(**_axis(x, log_x, x_range))
    fig.update_yaxes(**_axis(y, log_y, y_range))
    return fig


def panels(
    axes: Sequence[tuple[str, str]],
    *,
    log_x: Sequence[bool] = (),
    log_y: Sequence[bool] = (),
    titles: Sequence[str] = (),
    widths: Sequence[float] | None = None,
    height: int = HEIGHT,
    gap: float = 0.11,
) -> go.Figure:
    """Panels side by side, each with its own labeled axes; add traces with ``row=1, col=k``."""
    n = len(axes)
    fig = make_subplots(
        cols=n, subplot_titles=list(titles) or None, column_widths=list(widths) if widths else None, horizontal_spacing=gap
    )
    fig.update_layout(height=height)
    for k, (x, y) in enumerate(axes):
        fig.update_xaxes(**_axis(x, bool(log_x and log_x[k]), None), row=1, col=k + 1)
        fig.update_yaxes(**_axis(y, bool(log_y and log_y[k]), None), row=1, col=k + 1)
    if titles:
        # The titles stand where the template puts the legend; the legend goes below.
        fig.update_layout(legend={"y": -0.2, "yanchor": "top"}, margin={"t": 36})
    return fig


def _axis(title: str, is_log: bool, limits: Sequence[float] | None) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": title}}
    if is_log:
        # One tick a decade: Plotly's own choice crowds short log axes with 2s and 5s.
        axis |= {"type": "log", "minor": {"ticks": "outside", "ticklen": 2}}
    if limits is not None:
        axis["range"] = list(np.log10(limits)) if is_log else list(limits)
    return axis


def line(x: ArrayLike, y: ArrayLike, name: str, color: str, *, dash: str = "solid", width: float = 2.5, **more: Any) -> go.Scatter:
    """Theory, or anything else without noise."""
    return go.Scatter(
        x=np.asarray(x), y=np.asarray(y), name=name, mode="lines", line={"color": color, "dash": dash, "width": width}, **more
    )


def guide(x: ArrayLike, y: ArrayLike, name: str, **more: Any) -> go.Scatter:
    """A slope or a level to compare with: thin, gray, dotted."""
    return line(x, y, name, GRAY, dash="dot", width=1.5, **more)


def points(
    x: ArrayLike,
    y: ArrayLike,
    name: str,
    color: str,
    *,
    standard_error: ArrayLike | None = None,
    symbol: str = "circle",
    size: float = 7,
    **more: Any,
) -> go.Scatter:
    """Simulation, each point with two standard errors either way."""
    bars = None
    if standard_error is not None:
        bars = {"type": "data", "array": 2 * np.asarray(standard_error), "color": color, "thickness": 1.3, "width": 3}
    return go.Scatter(
        x=np.asarray(x),
        y=np.asarray(y),
        name=name,
        mode="markers",
        marker={"color": color, "size": size, "symbol": symbol},
        error_y=bars,
        **more,
    )


def band(x: ArrayLike, low: ArrayLike, high: ArrayLike, name: str, color: str, *, opacity: float = 0.2, **more: Any) -> go.Scatter:
    """The region between two curves, as one closed trace."""
    x, low, high = np.asarray(x), np.asarray(low), np.asarray(high)
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([low, high[::-1]]),
        name=name,
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=faded(color, opacity),
        hoverinfo="skip",
        **more,
    )


def heatmap(x: ArrayLike, y: ArrayLike, z: ArrayLike, title: str, *, scale: str = MAP, **more: Any) -> go.Heatmap:
    """A map of ``z[y, x]``; give ``zmid=0`` with ``SIGNED`` for a signed quantity."""
    return go.Heatmap(
        x=np.asarray(x),
        y=np.asarray(y),
        z=np.asarray(z),
        colorscale=scale,
        colorbar={"title": {"text": title, "side": "right"}, "outlinewidth": 0, "thickness": 14},
        **more,
    )


def boundary(x: ArrayLike, y: ArrayLike, name: str, *, dash: str = "solid", **more: Any) -> go.Scatter:
    """A curve over a map, in white: it reads on every part of cividis."""
    return line(x, y, name, "#ffffff", dash=dash, width=2.5, **more)


def on_map(x: float, y: float, text: str, *, color: str = "#ffffff") -> go.Scatter:
    """Words on a map, at a point in data units."""
    return go.Scatter(
        x=[x], y=[y], text=[text], mode="text", textfont={"color": color, "size": 14}, hoverinfo="skip", showlegend=False
    )


def movie(
    fig: go.Figure,
    frames: Sequence[Sequence[Any]],
    labels: Sequence[str],
    *,
    traces: Sequence[int],
    at: int | None = None,
    prefix: str = "",
    milliseconds: int = 60,
) -> go.Figure:
    """Make a figure play in the browser.

    Parameters
    ----------
    fig : go.Figure
        The still picture: what is seen before play and what is exported.
    frames : sequence of sequence of traces
        Of each frame, the traces that change; give only the data that changes, ``go.Scatter(x=…, y=…)``.
    labels : sequence of str
        Where each frame stands, for the scrubber.
    traces : sequence of int
        The places in ``fig.data`` of the traces that change.
    at : int, optional
        The frame that the still picture shows; the last if not given.
    prefix : str
        What stands before the label of the frame shown.
    milliseconds : int
        How long each frame stays.
    """
    fig.frames = [go.Frame(data=list(data), name=str(k), traces=list(traces)) for k, data in enumerate(frames)]
    play = {
        "frame": {"duration": milliseconds, "redraw": False},
        "fromcurrent": True,
        "transition": {"duration": 0},
        "mode": "immediate",
    }
    jump = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate", "transition": {"duration": 0}}
    fig.update_layout(
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "showactive": False,
                "x": 0,
                "xanchor": "left",
                "y": -0.16,
                "yanchor": "top",
                "pad": {"t": 14, "r": 8},
                "bgcolor": "#e9e9e6",
                "font": {"color": "#24292f"},
                "buttons": [
                    {"label": "▶ Play", "method": "animate", "args": [None, play]},
                    {"label": "❚❚", "method": "animate", "args": [[None], jump]},
                ],
            }
        ],
        sliders=[
            {
                "x": 0.2,
                "len": 0.8,
                "y": -0.16,
                "yanchor": "top",
                "pad": {"t": 8},
                "active": len(frames) - 1 if at is None else at,
                "currentvalue": {"prefix": prefix, "font": {"size": 12}},
                "ticklen": 0,
                "minorticklen": 0,
                "font": {"color": "rgba(0,0,0,0)"},
                "steps": [{"label": label, "method": "animate", "args": [[str(k)], jump]} for k, label in enumerate(labels)],
            }
        ],
        margin={"b": 120},
    )
    return fig

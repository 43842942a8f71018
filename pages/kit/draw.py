"""Traces that figures are put together from: theory as lines, simulation as points with its error."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
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
    axes = {"xaxis": _axis(x, log_x, x_range), "yaxis": _axis(y, log_y, y_range)}
    return go.Figure(layout={"height": height, **axes})


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
    # Laid out once and then written out at one go: Plotly checks a figure's every change, at every step of a slider.
    layout, grid = _grid(len(axes), bool(titles), tuple(widths) if widths else None, gap)
    layout = layout | {"height": height}
    for k, (x, y) in enumerate(axes):
        for letter, title, is_log in (("x", x, log_x and log_x[k]), ("y", y, log_y and log_y[k])):
            name = f"{letter}axis{k + 1 if k else ''}"
            layout[name] = layout[name] | _axis(title, bool(is_log), None)
    if titles:
        layout["annotations"] = [place | {"text": text} for place, text in zip(layout["annotations"], titles, strict=True)]
        # The titles stand where the template puts the legend; the legend goes above them.
        layout |= {"legend": {"y": 1.1}, "margin": {"t": 84}}
    return go.Figure({"layout": layout, "_grid_ref": grid})


@cache
def _grid(n: int, has_titles: bool, widths: tuple[float, ...] | None, gap: float) -> tuple[dict[str, Any], Any]:
    """The layout of panels without words, and what Plotly finds a panel's axes by."""
    titles = [" "] * n if has_titles else None
    grid = make_subplots(cols=n, subplot_titles=titles, column_widths=widths and list(widths), horizontal_spacing=gap)
    layout = grid.layout.to_plotly_json()
    del layout["template"]  # Plotly's own; ours comes with the theme
    return layout, grid._grid_ref


def _axis(title: str, is_log: bool, limits: Sequence[float] | None) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": title}}
    if is_log:
        axis["type"] = "log"
    if limits is not None:
        axis["range"] = list(np.log10(limits)) if is_log else list(limits)
    return axis


def line(x: ArrayLike, y: ArrayLike, name: str, color: str, *, dash: str = "solid", width: float = 2.5, **more: Any) -> go.Scatter:
    """Theory, or anything else without noise."""
    return go.Scatter(
        x=np.asarray(x), y=np.asarray(y), name=name, mode="lines", line={"color": color, "dash": dash, "width": width}, **more
    )


def broken(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Many curves as one trace's ``x`` and ``y``: curves are rows, or one row shared by all, and the pen lifts after each."""
    rows = np.broadcast_arrays(np.atleast_2d(x), np.atleast_2d(y))
    lifted = [np.pad(a.astype(np.result_type(a, np.float32)), ((0, 0), (0, 1)), constant_values=np.nan).ravel() for a in rows]
    return lifted[0], lifted[1]


def strokes(x: ArrayLike, y: ArrayLike, color: str, width: float = 1.2, **more: Any) -> go.Scatter:
    """Many thin curves as one trace, silent under the pointer: rows as of ``broken``."""
    x, y = broken(x, y)
    quiet = {"hoverinfo": "skip", "showlegend": False}
    return go.Scatter(x=x, y=y, mode="lines", line={"color": color, "width": width}, **(quiet | more))


def stems(x: ArrayLike, low: ArrayLike, high: ArrayLike) -> dict[str, np.ndarray]:
    """The ``x`` and ``y`` of upright segments; in a movie they stand for error bars, which do not follow its frames."""
    ends = broken(np.stack([x, x], axis=1), np.stack([low, high], axis=1))
    return dict(zip("xy", ends, strict=True))


def grouped(group: ArrayLike, colors: Sequence[str], size: float, **more: Any) -> dict[str, Any]:
    """A marker that colors each point by its group's number; names of colors Plotly would check one by one, point by point."""
    n = len(colors)
    scale = [[edge / n, color] for k, color in enumerate(colors) for edge in (k, k + 1)]
    return {"color": np.asarray(group), "colorscale": scale, "cmin": -0.5, "cmax": n - 0.5, "size": size} | more


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


def bands(
    x: ArrayLike, y: ArrayLike, z: ArrayLike, title: str, *, low: float, high: float, step: float, scale: str = MAP, **more: Any
) -> go.Contour:
    """A smooth map of ``z[y, x]`` in bands of one step, a thin line between them; the browser draws it faster than cells."""
    return go.Contour(
        x=np.asarray(x),
        y=np.asarray(y),
        z=np.asarray(z),
        colorscale=scale,
        contours={"start": low, "end": high, "size": step, "coloring": "fill"},
        line={"width": 0.6, "color": "rgba(255,255,255,0.35)"},
        zmin=low,
        zmax=high,
        colorbar={"title": {"text": title, "side": "right"}, "outlinewidth": 0, "thickness": 14},
        **more,
    )


def boundary(x: ArrayLike, y: ArrayLike, name: str, *, dash: str = "solid", at: float = 0.5, **more: Any) -> go.Scatter:
    """A curve over a map, in white, with its name written on it: it reads on every part of cividis.

    Parameters
    ----------
    at : float
        Where along the curve its name stands, from 0 to 1.
    """
    x, y = np.asarray(x), np.asarray(y)
    text, rises = [""] * x.size, False
    if x.size:
        k = round(at * (x.size - 1))
        text[k] = name
        before, after = max(k - 1, 0), min(k + 1, x.size - 1)
        rises = (x[after] - x[before]) * (y[after] - y[before]) > 0
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="lines+text",
        text=text,
        textposition="top left" if rises else "top right",  # on the side where the curve is not
        textfont={"color": "#ffffff", "size": 13, "shadow": "auto"},
        line={"color": "#ffffff", "dash": dash, "width": 2.5},
        showlegend=False,
        **more,
    )


def on_map(x: float, y: float, text: str, *, color: str = "#ffffff", size: float = 14) -> go.Scatter:
    """Words on a map, at a point in data units; white with a shadow, so that they read on any color."""
    font = {"color": color, "size": size, "shadow": "auto"}
    return go.Scatter(x=[x], y=[y], text=[text], mode="text", textfont=font, hoverinfo="skip", showlegend=False)


def mark_x(fig: go.Figure, x: float, text: str, *, col: int = 1, row: int = 1) -> None:
    """A dotted vertical line with words beside its top; ``col`` names a panel."""
    axes = _axes(row, col)
    fig.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, xref=axes["x"], yref=f"{axes['y']} domain", line=_MARK)
    place = _on_axis(fig, axes["x"], x)
    ends = fig.layout[f"xaxis{axes['x'][1:]}"].range
    is_late = ends is not None and (place - ends[0]) / (ends[1] - ends[0]) > 0.85
    fig.add_annotation(
        x=place,
        y=1,
        xref=axes["x"],
        yref=f"{axes['y']} domain",
        text=text,
        xanchor="right" if is_late else "left",  # near the end of the axis words would be cut off
        yanchor="top",
        **_MARK_TEXT,
    )


def mark_y(fig: go.Figure, y: float, text: str, *, col: int = 1, row: int = 1) -> None:
    """A dotted horizontal line with words on its right end; ``col`` names a panel."""
    axes = _axes(row, col)
    fig.add_shape(type="line", y0=y, y1=y, x0=0, x1=1, yref=axes["y"], xref=f"{axes['x']} domain", line=_MARK)
    place = _on_axis(fig, axes["y"], y)
    fig.add_annotation(
        y=place, x=1, yref=axes["y"], xref=f"{axes['x']} domain", text=text, xanchor="right", yanchor="bottom", **_MARK_TEXT
    )


_MARK = {"color": GRAY, "dash": "dot", "width": 1.3}
_MARK_TEXT: dict[str, Any] = {"showarrow": False, "font": {"size": 12, "color": GRAY}}


def _axes(row: int, col: int) -> dict[str, str]:
    """Names of a panel's axes; panels stand side by side."""
    if row != 1:
        raise ValueError("panels stand in one row")
    suffix = "" if col == 1 else str(col)
    return {"x": f"x{suffix}", "y": f"y{suffix}"}


def _on_axis(fig: go.Figure, name: str, value: float) -> float:
    """Where an annotation stands: on a log axis Plotly takes its decade, unlike a shape's."""
    axis = fig.layout[f"{name[0]}axis{name[1:]}"]
    return float(np.log10(value)) if axis.type == "log" else value


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

    Fix the ranges of all axes, and change at least one trace of every panel in each frame: Plotly redraws only those
    that change, wipes a panel in which none does, and does not move an axis with them.

    Parameters
    ----------
    fig : go.Figure
        The still picture: what is seen before play and what is exported.
    frames : sequence of sequence of traces
        Of each frame, the traces that change; give only the data that changes: ``go.Scatter(x=…, y=…)``, or, where frames
        are many and slow to draw, the same as a plain dict, ``{"x": …, "y": …}``, which nobody validates.
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
    fig.frames = [{"name": str(k), "traces": list(traces)} for k in range(len(frames))]
    for frame, data in zip(fig.frames, frames, strict=True):
        # Through its properties Plotly would validate and copy each array three times, which takes most of a movie's time.
        frame._props["data"] = [
            {"type": "scatter"} | (dict(trace) if isinstance(trace, dict) else trace.to_plotly_json()) for trace in data
        ]
    at_once = {"mode": "immediate", "transition": {"duration": 0}}
    play = at_once | {"frame": {"duration": milliseconds, "redraw": False}, "fromcurrent": True}
    jump = at_once | {"frame": {"duration": 0, "redraw": False}}
    buttons = [
        {"label": "▶ Play", "method": "animate", "args": [None, play]},
        {"label": "❚❚", "method": "animate", "args": [[None], jump]},
    ]
    steps = [{"label": label, "method": "animate", "args": [[str(k)], jump]} for k, label in enumerate(labels)]
    below = {"y": 0, "yanchor": "top"}
    fig.update_layout(
        updatemenus=[
            below
            | {"type": "buttons", "direction": "left", "showactive": False, "buttons": buttons}
            | {"x": 0, "xanchor": "left", "pad": {"t": 66}}
        ],
        sliders=[
            below
            | {"x": 0.24, "len": 0.76, "pad": {"t": 44}, "active": len(frames) - 1 if at is None else at}
            | {"currentvalue": {"prefix": prefix, "font": {"size": 12}}, "ticklen": 0, "minorticklen": 0}
            | {"font": {"color": "rgba(0,0,0,0)"}}  # the steps' own labels would overlap
        ],
        margin={"b": 125},
    )
    fig.layout.sliders[0]._props["steps"] = steps  # as with the frames
    return fig

"""Figures of a sweep: the map with contours, slices through the present point, the curve with its band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from compute.sweeps import Axis, SweepResult
from pages.kit import draw
from pages.kit.overlay import add_here
from pages.kit.style import BLUE

LOG_RATIO = 1e3


def axis_title(result: SweepResult, axis: Axis) -> str:
    """A parameter's words and unit."""
    parameter = result.plan.experiment.parameters[axis.name]
    return f"{parameter.label} ({parameter.unit})" if parameter.unit else parameter.label


def sweep_map(result: SweepResult, levels: Sequence[float], at: dict[str, Any], *, spread: bool) -> go.Figure:
    """The mean over seeds, or their spread, over two parameters."""
    x, y = result.x, result.y
    assert y is not None
    ranges = {"x_range": _range(x), "y_range": _range(y)}
    fig = draw.figure(axis_title(result, x), axis_title(result, y), log_x=x.is_log, log_y=y.is_log, height=480, **ranges)
    values = result.spread if spread else result.mean
    words = np.full(values.shape, "", dtype=object)
    for (row, column), reason in result.reasons.items():
        words[row, column] = reason
    title = f"spread of {result.metric} over seeds" if spread else result.metric
    hover = f"{x.name} %{{x}}<br>{y.name} %{{y}}<br>{title} %{{customdata:.5g}}<br>%{{text}}<extra></extra>"
    xs, ys = _places(x), _places(y)
    is_log = spans_decades(values)
    shown = np.log10(values) if is_log else values
    # A gap must answer to the pointer: that is where its reason is said.
    fig.add_trace(draw.heatmap(xs, ys, shown, title, text=words, customdata=values, hovertemplate=hover, hoverongaps=True))
    if is_log:
        decades = np.arange(np.floor(np.nanmin(shown)), np.ceil(np.nanmax(shown)) + 1)
        ticks = decades[:: int(np.ceil(decades.size / 8))]
        fig.data[0].colorbar.update(tickvals=ticks, ticktext=[f"10<sup>{k:.0f}</sup>" for k in ticks])
    if not spread:
        for level in levels:
            if level > 0 or not is_log:
                fig.add_trace(_contour(xs, ys, shown, level, float(np.log10(level)) if is_log else level))
    if x.name in at and y.name in at:
        add_here(fig, at[x.name], at[y.name])
    return fig


def spans_decades(values: np.ndarray) -> bool:
    """Whether a map reads better by its logarithm: all positive, over three decades or more."""
    has = values[np.isfinite(values)]
    return has.size > 0 and has.min() > 0 and has.max() >= LOG_RATIO * has.min()


def _contour(x: Sequence[Any], y: Sequence[Any], z: np.ndarray, level: float, at: float) -> go.Contour:
    return go.Contour(
        x=x,
        y=y,
        z=z,
        contours={
            "start": at,
            "end": at,
            "size": 1,
            "coloring": "none",
            "showlabels": at == level,  # Plotly writes what it draws: of a logarithm not the level
            "labelfont": {"color": "#ffffff"},
        },
        line={"color": "#ffffff", "width": 2},
        showscale=False,
        hoverinfo="skip",
        name=f"{level:g}",
    )


def _range(axis: Axis) -> tuple[float, float] | None:
    """From half a cell before the first value to half a cell after the last; Plotly's own for options."""
    if not _is_numeric(axis):
        return None
    values = np.log(axis.values) if axis.is_log else np.array(axis.values, dtype=float)
    low, high = values[0] - (values[1] - values[0]) / 2, values[-1] + (values[-1] - values[-2]) / 2
    return (float(np.exp(low)), float(np.exp(high))) if axis.is_log else (float(low), float(high))


def _is_numeric(axis: Axis) -> bool:
    return len(axis.values) > 1 and not isinstance(axis.values[0], (str, bool))


def _places(axis: Axis) -> Sequence[Any]:
    """Where an axis's values stand: numbers as they are, options by name."""
    return [str(value) if isinstance(value, (str, bool)) else value for value in axis.values]


def sweep_slices(result: SweepResult, at: dict[str, Any]) -> go.Figure:
    """The metric along each axis through the cell nearest to the present point."""
    x, y = result.x, result.y
    assert y is not None
    row, column = _nearest(y, at.get(y.name)), _nearest(x, at.get(x.name))
    log_y = spans_decades(result.mean)
    fig = draw.panels(
        [(axis_title(result, x), result.metric), (axis_title(result, y), "")],
        log_x=[x.is_log, y.is_log],
        log_y=[log_y, log_y],
        titles=[
            f"at {y.name} = {y.text(row)}",
            f"at {x.name} = {x.text(column)}",
        ],
        height=330,
    )
    fig.update_layout(showlegend=False, margin={"t": 40})
    for col, (axis, mean, error) in enumerate(
        ((x, result.mean[row], result.standard_error[row]), (y, result.mean[:, column], result.standard_error[:, column])), start=1
    ):
        _curve(fig, axis, mean, error, result.plan.n_seeds, row=1, col=col)
        limits = _range(axis)
        if limits:
            fig.update_xaxes(range=np.log10(limits) if axis.is_log else limits, row=1, col=col)
        if not np.isfinite(mean).any():
            fig.update_yaxes(showticklabels=False, row=1, col=col)
    return fig


def sweep_curve(result: SweepResult, at: dict[str, Any]) -> go.Figure:
    """The metric over one parameter, with its band of two standard errors over seeds."""
    fig = draw.figure(axis_title(result, result.x), result.metric, log_x=result.x.is_log, x_range=_range(result.x))
    _curve(fig, result.x, result.mean[0], result.standard_error[0], result.plan.n_seeds)
    if result.x.name in at and isinstance(at[result.x.name], (int, float)) and not isinstance(at[result.x.name], bool):
        draw.mark_x(fig, at[result.x.name], "here")
    return fig


def _curve(fig: go.Figure, axis: Axis, mean: np.ndarray, error: np.ndarray, n_seeds: int, **where: int) -> None:
    has = np.isfinite(mean)
    x = np.array(_places(axis), dtype=object)[has]
    numeric = _is_numeric(axis)
    if n_seeds > 1 and numeric and has.any():
        low, high = (mean - 2 * error)[has], (mean + 2 * error)[has]
        fig.add_trace(draw.band(x.astype(float), low, high, "± 2 SE over seeds", BLUE), **where)
    fig.add_trace(draw.line(x, mean[has], "mean over seeds" if n_seeds > 1 else "value", BLUE, showlegend=n_seeds > 1), **where)
    if not numeric:
        fig.data[-1].mode = "markers"
        fig.data[-1].marker = {"color": BLUE, "size": 10}


def _nearest(axis: Axis, value: Any) -> int:
    if value in axis.values:
        return axis.values.index(value)
    if value is None or isinstance(value, (str, bool)):
        return 0
    places = np.array(axis.values, dtype=float)
    return int(np.argmin(np.abs(np.log(places / value) if axis.is_log else places - value)))

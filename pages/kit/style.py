"""One look for every figure: colors, scales and the Plotly template of each theme."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from compute.parameters import format_number

# Okabe & Ito's palette, safe for color-blind readers; yellow last, it is faint on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW = "#E69F00", "#56B4E9", "#F0E442"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW)
GRAY = "#8A8A8A"  # reads on both themes
MAP = "Cividis"
SIGNED = "RdBu_r"

FONT = "Source Sans, Source Sans Pro, Helvetica, Arial, sans-serif"
_THEMES: dict[str, dict[str, Any]] = {
    "light": {"ink": "#24292f", "faint": "#e4e4e1", "line": "#a8a8a4", "paper": "#ffffff", "colorway": PALETTE},
    # The two darkest hues of the palette, lightened to stand off a dark page.
    "dark": {
        "ink": "#e6e3de",
        "faint": "#34342f",
        "line": "#6d6d66",
        "paper": "#171614",
        "colorway": ("#3B9DDB", "#EE7F2D", "#19B98B", PURPLE, ORANGE, SKY, YELLOW),
    },
}


def template(theme: str) -> go.layout.Template:
    """The template of a theme, ``"light"`` or ``"dark"``."""
    colors = _THEMES[theme]
    axis = {
        "gridcolor": colors["faint"],
        "linecolor": colors["line"],
        "tickcolor": colors["line"],
        "zeroline": False,
        "showline": True,
        "mirror": False,
        "ticks": "outside",
        "ticklen": 4,
        "automargin": True,
        "exponentformat": "power",
        "minorloglabels": "none",
        "title": {"standoff": 8, "font": {"size": 15}},
    }
    scene_axis = {"gridcolor": colors["faint"], "color": colors["ink"], "showbackground": False}
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": colors["ink"]},
            # Opaque, so that an exported picture reads anywhere.
            "paper_bgcolor": colors["paper"],
            "plot_bgcolor": colors["paper"],
            "colorway": colors["colorway"],
            "colorscale": {"sequential": MAP, "diverging": SIGNED},
            "xaxis": axis,
            "yaxis": axis,
            "scene": {"xaxis": scene_axis, "yaxis": scene_axis, "zaxis": scene_axis},
            "hoverlabel": {"font": {"family": FONT}},
            "margin": {"l": 64, "r": 16, "t": 20, "b": 52},
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "font": {"size": 12},
                "bgcolor": "rgba(0,0,0,0)",
            },
            "updatemenudefaults": {"bgcolor": colors["faint"], "bordercolor": colors["line"], "font": {"color": colors["ink"]}},
            "sliderdefaults": {"bgcolor": colors["line"], "bordercolor": colors["line"]},
            "coloraxis": {"colorbar": {"outlinewidth": 0, "thickness": 14}},
            "dragmode": "zoom",
            "hovermode": "closest",
        },
        data={"heatmap": [{"colorbar": {"outlinewidth": 0, "thickness": 14}, "colorscale": MAP}]},
    )


_DARK_HUES = {light: dark for light, dark in zip(PALETTE, _THEMES["dark"]["colorway"], strict=True) if light != dark}
TEMPLATES = {theme: template(theme) for theme in _THEMES}


def themed(figure: go.Figure, theme: str) -> go.Figure:
    """Settle a figure and give it the theme's template, in place."""
    return settled(figure, theme).update_layout(template=TEMPLATES[theme])


def settled(figure: go.Figure, theme: str) -> go.Figure:
    """Do to a figure what a template cannot, in place.

    Traces that name a color of ``PALETTE`` keep its meaning: on a dark page the hues too dark to
    read are exchanged for their lighter forms.
    """
    _settle_log_axes(figure)
    if theme == "dark":
        for trace in figure.data:
            _lighten(trace)
    return figure


def _settle_log_axes(figure: go.Figure) -> None:
    """Label decades only; over fewer than two decades label 1, 2 and 5 of each."""
    for name in figure.layout:
        if name[1:5] != "axis" or figure.layout[name].type != "log" or figure.layout[name].tickvals is not None:
            continue
        axis = figure.layout[name]
        if axis.range is not None:
            low, high = sorted(axis.range)
        else:
            key = name[0] + name[5:]  # "xaxis2" is the traces' "x2"
            low, high = _decades([t[name[0]] for t in figure.data if (t[name[:5]] or name[0]) == key and t[name[0]] is not None])
        if high - low < 1.8:
            steps = [m * 10.0**k for k in range(math.floor(low) - 1, math.ceil(high) + 2) for m in (1, 2, 5)]
            axis.tickvals, axis.ticktext = steps, [format_number(step) for step in steps]
        else:
            axis.minor = {"ticks": "outside", "ticklen": 2}


def _decades(columns: list[Any]) -> tuple[float, float]:
    values = np.concatenate([np.asarray(c, dtype=float).ravel() for c in columns] or [np.ones(1)])
    values = values[np.isfinite(values) & (values > 0)]
    return (float(np.log10(values.min())), float(np.log10(values.max()))) if values.size else (0.0, 3.0)


def _lighten(trace: Any) -> None:
    for part in ("line", "marker", "error_y", "error_x"):
        if part in trace and trace[part] is not None:
            color = trace[part].color
            if isinstance(color, str) and color in _DARK_HUES:
                trace[part].color = _DARK_HUES[color]
            if part == "marker" and trace.marker.colorscale is not None:
                trace.marker.colorscale = [(at, _DARK_HUES.get(hue, hue)) for at, hue in trace.marker.colorscale]


def shades(n: int) -> list[str]:
    """Colors of a family of curves in order, along the map's scale with both ends left out; of one alone, blue."""
    return sample_colorscale(MAP, list(np.linspace(0.3, 0.92, n))) if n > 1 else [BLUE]


def faded(color: str, opacity: float) -> str:
    """A ``#rrggbb`` color as ``rgba(…)`` with an opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"

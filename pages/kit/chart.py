"""A chart that is updated in place: zoom, camera and a playing movie survive a slider's move."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st
from starlette.responses import FileResponse
from starlette.routing import Route

from pages.kit.figure_json import written
from pages.kit.style import TEMPLATES, settled

# ``st.plotly_chart`` gives every new figure a new chart in the browser, even under a key: zoom and camera are lost,
# and each step of a drag builds the whole chart again. Plotly.react with ``uirevision`` is made for this, so the
# figure goes to Plotly's own library directly; a click comes back as a place in data units, on any trace or none.
LIBRARY = f"/regimes/plotly-{plotly.__version__}.min.js"
SCRIPT = Path(__file__).parents[2] / "assets" / "chart.js"


@st.cache_resource(show_spinner=False)
def _component() -> Any:
    html = '<div class="regimes-chart" role="img"></div>'
    templates = {theme: template.to_plotly_json() for theme, template in TEMPLATES.items()}
    known = f"const LIBRARY = {json.dumps(LIBRARY)}, TEMPLATES = {json.dumps(templates)}\n"
    return st.components.v2.component("regimes_chart", html=html, js=known + SCRIPT.read_text(), isolate_styles=False)


def library_route() -> Route:
    """Plotly's library from the installed package, so that the browser draws what this version of Python wrote."""
    file = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    forever = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Route(LIBRARY, lambda _: FileResponse(file, media_type="text/javascript", headers=forever))


def chart(figure: go.Figure, *, key: str, alt: str, filename: str, on_click: Callable[[float, float], None] | None = None) -> None:
    """Draw a figure in the page's theme, or update the one that stands there.

    Parameters
    ----------
    figure : go.Figure
        With its height and ``uirevision`` set; settled here, in place.
    key : str
        The chart's identity, and the CSS class ``st-key-…`` of its box.
    alt : str
        What a screen reader says.
    filename : str
        Of the picture that the mode bar downloads.
    on_click : callable, optional
        Called with the x and y, in data units, of a click.
    """

    def clicked() -> None:
        place = st.session_state[key].place
        if place and on_click:
            on_click(place["x"], place["y"])

    config = {
        "displaylogo": False,
        "responsive": True,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"format": "png", "scale": 3, "filename": filename},
    }
    theme = st.context.theme.type or "light"
    words = json.dumps({"alt": alt, "config": config, "theme": theme})
    # As bytes: a dictionary Streamlit would write as JSON a second time, every quote in the figure escaped.
    content = f'{words[:-1]},"figure":{written(settled(figure, theme))}}}'.encode()
    _component()(key=key, data=content, on_place_change=clicked, height="content")

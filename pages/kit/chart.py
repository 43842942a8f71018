"""A chart that is updated in place: zoom, camera and a playing movie survive a slider's move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st
from starlette.responses import FileResponse
from starlette.routing import Route

from pages.kit.figure_json import written

# ``st.plotly_chart`` gives every new figure a new chart in the browser, even under a key: zoom and camera are lost,
# and each step of a drag builds the whole chart again. Plotly.react with ``uirevision`` is made for this, so the
# figure goes to Plotly's own library directly; a click comes back as a place in data units, on any trace or none.
LIBRARY = f"/regimes/plotly-{plotly.__version__}.min.js"
SCRIPT = """
const library = (source) => (window.regimesPlotly ??= new Promise((resolve, reject) => {
  const script = document.createElement("script")
  script.src = source
  script.onload = () => resolve(window.Plotly)
  script.onerror = () => reject(new Error("Plotly did not load"))
  document.head.append(script)
}))

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const box = parentElement.querySelector(".regimes-chart")
  box.regimesClick = (place) => setTriggerValue("place", place)
  if (box.figure === data.figure) return
  box.figure = data.figure
  box.setAttribute("aria-label", data.alt)
  library(data.library).then(async (Plotly) => {
    if (box.figure !== data.figure) return // a newer one has come
    const { data: traces, layout, frames } = JSON.parse(data.figure)
    const first = !box.classList.contains("js-plotly-plot")
    box.style.height = `${layout.height}px`
    await Plotly.react(box, { data: traces, layout, frames: frames ?? [], config: data.config })
    box.dataset.drawn = (Number(box.dataset.drawn) || 0) + 1
    if (!first) return
    new ResizeObserver(() => box.offsetParent && Plotly.Plots.resize(box)).observe(box)
    box.on("plotly_click", ({ event }) => {
      const { xaxis, yaxis } = box._fullLayout
      const corner = box.getBoundingClientRect()
      const x = xaxis.p2d(event.clientX - corner.left - xaxis._offset)
      const y = yaxis.p2d(event.clientY - corner.top - yaxis._offset)
      box.regimesClick({ x, y })
    })
  })
}
"""


@st.cache_resource(show_spinner=False)
def _component() -> Any:
    html = '<div class="regimes-chart" role="img"></div>'
    return st.components.v2.component("regimes_chart", html=html, js=SCRIPT, isolate_styles=False)


def library_route() -> Route:
    """Plotly's library from the installed package, so that the browser draws what this version of Python wrote."""
    file = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    forever = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Route(LIBRARY, lambda _: FileResponse(file, media_type="text/javascript", headers=forever))


def chart(figure: go.Figure, *, key: str, alt: str, filename: str, on_click: Callable[[float, float], None] | None = None) -> None:
    """Draw a figure, or update the one that stands there.

    Parameters
    ----------
    figure : go.Figure
        With its height and ``uirevision`` set.
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
    content = {"figure": written(figure), "alt": alt, "library": LIBRARY, "config": config}
    height = figure.layout.height
    _component()(key=key, data=content, on_place_change=clicked, height=int(height) + 4)

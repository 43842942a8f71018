"""Take the picture, the numbers and the code away."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from compute.parameters import Dataset
from pages.kit import pins
from pages.kit.state import LabState, Shown
from pages.kit.style import themed

# PNG and SVG are made by the browser, from the chart as it stands, zoom and all.
SCRIPT = """
export default function (component) {
  const { data, parentElement } = component
  parentElement.querySelectorAll("button").forEach((button) => {
    button.onclick = () => {
      const chart = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`)
      if (!chart) return
      const { width, height } = chart.getBoundingClientRect()
      const format = button.dataset.format
      window.Plotly.downloadImage(chart, { format, width, height, scale: format === "png" ? 3 : 1, filename: data.filename })
    }
  })
}
"""
CSV_MIME, PARQUET_MIME = "text/csv", "application/vnd.apache.parquet"
HTML = '<button data-format="png">PNG</button><button data-format="svg">SVG</button>'
CSS = """
:host, div { display: flex; gap: 0.5rem }
button {
  font: inherit; font-size: 0.87rem; color: var(--st-text-color); background: transparent; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: 0.1rem 0.65rem; min-height: 1.9rem;
}
button:hover { border-color: var(--st-primary-color); color: var(--st-primary-color) }
"""


@st.cache_resource(show_spinner=False)
def _pictures() -> Any:
    return st.components.v2.component("regimes_pictures", html=HTML, css=CSS, js=SCRIPT)


def picture_buttons(chart_key: str, filename: str, *, key: str) -> None:
    """PNG and SVG of a chart."""
    _pictures()(data={"chart": chart_key, "filename": filename}, key=key, width="content")


def export_buttons(state: LabState, chart_key: str) -> None:
    """The buttons below a figure; each takes what the figure shows at the moment of the click."""
    name = f"regimes_{state.entry.name}"
    idle = state.shown is None
    picture_buttons(chart_key, name, key=state.key("pictures"))
    for title, make, mime in (
        ("HTML", html_page, "text/html"),
        ("CSV", csv_table, CSV_MIME),
        ("Parquet", parquet_table, PARQUET_MIME),
    ):
        key = state.key(f"export-{title}")
        st.download_button(title, partial(make, state), f"{name}.{title.lower()}", mime, on_click="ignore", key=key, disabled=idle)
    if st.button(
        "Python", icon=":material/code:", key=state.key("export-python"), help="A snippet that computes these numbers again."
    ):
        _show_snippet(state)


@st.dialog("The same numbers, from Python", width="large")
def _show_snippet(state: LabState) -> None:
    st.code(snippet(_shown(state)), language="python")
    st.caption("Run it where the repository is the working folder; it needs no browser.")


def _shown(state: LabState) -> Shown:
    if state.shown is None:
        raise RuntimeError("Nothing is shown yet: there is no figure to export.")
    return state.shown


def frames(state: LabState) -> pl.DataFrame:
    """The table of what is shown; with pins, theirs below it, told apart by a column."""
    shown = _shown(state)
    table = shown.result.table()
    return pins.table(shown.view, table, state.pins) if state.pins else table


def csv_table(state: LabState) -> str:
    """The table as CSV, every digit kept."""
    return frames(state).write_csv()


def parquet_table(state: LabState) -> bytes:
    """The table as Parquet."""
    return parquet_of(partial(frames, state))


def parquet_of(table: Callable[[], pl.DataFrame]) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table().write_parquet(buffer)
    return buffer.getvalue()


def html_page(state: LabState) -> str:
    """The figure as one HTML file that needs nothing else."""
    return html_of(_shown(state).figure)


def html_of(fig: go.Figure) -> str:
    """A figure as one HTML file, in light colors."""
    return str(themed(go.Figure(fig), "light").to_html(include_plotlyjs=True, full_html=True, auto_play=False))


def snippet(shown: Shown) -> str:
    """Python that computes the numbers again from ``compute`` alone."""
    experiment = shown.view.experiment
    module = f"compute.{experiment.lab.replace('/', '.')}"
    lines = [f"from {module} import {experiment.name}", ""]
    arguments = []
    for name, value in shown.values.items():
        if isinstance(experiment.parameters[name], Dataset):
            if value is not None:
                lines = ["import polars as pl", "", *lines, f'{name} = pl.read_csv("{name}.csv")  # the table you uploaded']
                arguments.append(f"    {name}={name},")
        elif value != experiment.defaults[name]:
            arguments.append(f"    {name}={value!r},")
    lines += [f"result = {experiment.name}(", *arguments, ")"] if arguments else [f"result = {experiment.name}()"]
    lines += ["print(result.headline())", f'result.table().write_csv("{experiment.name}.csv")']
    return "\n".join(lines)

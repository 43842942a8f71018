"""The way from a lab to its sweep."""

from __future__ import annotations

import streamlit as st

from compute.sweeps import numeric
from pages.kit.state import LabState
from pages.kit.sweep_request import KEY, axis_names, first_request


def sweep_button(state: LabState) -> None:
    """On a lab's page: sweep what is looked at."""
    view = state.current_view()
    if not axis_names(view.experiment):
        return
    if st.button(
        "Sweep",
        icon=":material/grid_on:",
        type="tertiary",
        key=state.key("sweep"),
        help="A headline number over any two parameters.",
    ):
        shown = state.shown.result if state.shown and state.shown.view is view else None
        names = numeric(shown.headline()) if shown else []
        request = first_request(state.entry, view, state.view_values(), names)
        st.session_state[KEY] = request
        st.switch_page(st.session_state["pages"]["sweep"], query_params=request.query())

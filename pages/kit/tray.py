"""The row of pinned states below a figure."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.kit.overlay import PINNABLE
from pages.kit.pins import LONGEST_NAME, MAX_PINS, Pin
from pages.kit.state import LabState


def tray(state: LabState) -> None:
    """Pin what is shown; name, revisit and remove what is pinned."""
    full = len(state.pins) >= MAX_PINS
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=state.key("tray")):
        st.button(
            "Pin this state",
            icon=":material/push_pin:",
            key=state.key("pin"),
            on_click=state.pin,
            disabled=full or state.shown is None,
            help=f"The tray holds {MAX_PINS}: remove one first." if full else "Keep these parameters to compare with.",
        )
        for pin in state.pins:
            _pin(state, pin)


def _pin(state: LabState, pin: Pin) -> None:
    view = state.current_view()

    def renamed() -> None:
        state.rename(pin, st.session_state[key])

    key = state.key(f"pin-name-{pin.key}")
    # The widget may hold what was typed before another pin took the name.
    st.session_state[key] = pin.name
    with st.popover(pin.name, key=state.key(f"pin-{pin.key}")):
        st.text_input("Name", key=key, max_chars=LONGEST_NAME, on_change=renamed)
        if view.kind in PINNABLE and pin.result(view) is None:
            st.caption("Not drawn on this view: it takes a run. Go there, and run it.")
        elif view.kind not in PINNABLE and not view.click:
            st.caption("Views of this kind draw one state at a time.")
        with st.container(horizontal=True, gap="small"):
            st.button("Go there", key=state.key(f"pin-go-{pin.key}"), on_click=partial(state.go_to, pin))
            st.button("Remove", key=state.key(f"pin-remove-{pin.key}"), on_click=partial(state.unpin, pin), type="tertiary")

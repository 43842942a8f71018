"""What is drawn again when a control changes: the figure and that control, not the forty elements around them."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.kit.state import LabState

PANEL, FIGURE = "panel", "figure"


def control_key(state: LabState, name: str) -> str:
    """The fragment of a parameter's control."""
    return state.key(f"control-{name}")


def redrawing(state: LabState, name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Make a change of a parameter a widget's callback."""

    def decorate(change: Callable[[], None]) -> Callable[[], None]:
        def changed() -> None:
            change()
            st.rerun([FIGURE, control_key(state, name)] if state.drawn == state.surroundings() else PANEL)

        return changed

    return decorate

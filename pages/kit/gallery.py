"""Cards of labs: a thumbnail of the figure, the question, the link."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from pages.kit.discovery import Entry

THUMBNAILS = Path(__file__).parents[2] / "assets" / "thumbnails"
CARDS_AT_FIRST = 12


def thumbnail(entry: Entry) -> Path:
    """Where a lab's thumbnail is kept."""
    return THUMBNAILS / f"{entry.path}.webp"


def gallery(shown: Sequence[Entry], key: str) -> None:
    """A grid of cards: the first dozen, more on demand, so that a page costs the same at any number of labs."""
    limit = st.session_state.setdefault(f"{key}-limit", CARDS_AT_FIRST)
    columns = st.columns(3, gap="medium")
    for k, entry in enumerate(shown[:limit]):
        with columns[k % 3]:
            card(entry)
    if len(shown) > limit:

        def more() -> None:
            st.session_state[f"{key}-limit"] = limit + 2 * CARDS_AT_FIRST

        st.button(f"Show more ({len(shown) - limit} left)", key=f"{key}-more", on_click=more)


def card(entry: Entry) -> None:
    """One lab."""
    with st.container(border=True):
        path = thumbnail(entry)
        if path.exists():
            st.image(path, width="stretch")
        st.page_link(st.session_state["pages"][entry.path], label=f"**{entry.card.question}**")
        kinds = " · ".join(entry.card.kinds)
        st.caption(f"{entry.card.title} — {kinds}")

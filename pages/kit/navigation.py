"""The app's pages: home, the atlas, a page for each topic, and a hidden one for each lab."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from pages import atlas, home
from pages.kit.discovery import Entry, entries, topics
from pages.kit.page import render
from pages.kit.sweep_page import render_sweep
from pages.kit.topic import SECTIONS
from pages.kit.topic_page import render_topic


def navigate() -> Any:
    """Declare every page and return the one to run."""
    known = st.session_state["pages"] = pages()
    shown: dict[str, list[Any]] = {"": [known["home"], known["atlas"], known["sweep"]]}
    for section in SECTIONS:
        of_section = [known[name] for name, topic in topics().items() if topic.section == section]
        if of_section:
            shown[section] = of_section
    shown[""] += [known[entry.path] for entry in entries()]
    return st.navigation(shown, position="top")


def pages() -> dict[str, Any]:
    """Every page: ``home``, ``atlas``, ``sweep``, topics by name, labs by path."""
    found: dict[str, Any] = {
        "home": st.Page(home.render, title="Regimes", icon=":material/insights:", default=True, url_path="home"),
        "atlas": st.Page(atlas.render, title="Atlas", icon=":material/menu_book:", url_path="atlas"),
        "sweep": st.Page(render_sweep, title="Sweep", icon=":material/grid_on:", url_path="sweep", visibility="hidden"),
    }
    for name, topic in topics().items():
        found[name] = st.Page(_named(partial(render_topic, name), name), title=topic.title, icon=topic.icon, url_path=name)
    for entry in entries():
        found[entry.path] = _lab_page(entry)
    return found


def _lab_page(entry: Entry) -> Any:
    return st.Page(
        _named(partial(render, entry), entry.name),
        title=entry.card.title,
        icon=entry.topic.icon,
        url_path=entry.url,
        visibility="hidden",
    )


def _named(function: partial[None], name: str) -> Any:
    """Streamlit knows a page by its function's name."""

    def page() -> None:
        function()

    page.__name__ = page.__qualname__ = name
    return page

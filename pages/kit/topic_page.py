"""A topic's page: its promise and its labs."""

from __future__ import annotations

import streamlit as st

from pages.kit.discovery import entries, topics
from pages.kit.gallery import gallery
from pages.kit.page import STYLE


def render_topic(name: str) -> None:
    """Draw the page of a topic."""
    st.html(STYLE)
    topic = topics()[name]
    st.title(topic.title, anchor=False)
    st.markdown(topic.promise)
    gallery([entry for entry in entries() if entry.topic_name == name], name)

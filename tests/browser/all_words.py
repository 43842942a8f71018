"""A page with the words of every lab, run by ``test_words.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).parents[2]))

from pages.kit.controls import label
from pages.kit.discovery import entries
from pages.kit.page import STYLE

st.html(STYLE)
for entry in entries():
    with st.container(key=f"words-{entry.name}"):
        st.markdown(entry.lab.text)
        st.markdown("; ".join(label(parameter) for parameter in entry.lab.parameters.values()))
st.markdown("That is all.")

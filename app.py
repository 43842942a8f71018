"""Regimes: page config, navigation, start-up."""

import streamlit as st

from pages.kit.navigation import navigate

st.set_page_config(page_title="Regimes", page_icon="assets/logo.svg", layout="wide")
navigate().run()

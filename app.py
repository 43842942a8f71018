"""Regimes: start-up, page config, navigation; nothing else."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

import compute  # noqa: F401  before NumPy: it says how many threads BLAS may take

if get_script_run_ctx(suppress_warning=True) is None:
    # ``streamlit run app.py`` reads this once, when the server starts.
    from pages.kit.chart import library_route
    from pages.kit.startup import lifespan

    app = st.App(__file__, lifespan=lifespan, routes=[library_route()])
else:
    # And this for every session.
    from pages.kit.navigation import navigate

    st.set_page_config(page_title="Regimes", page_icon="assets/logo.svg", layout="wide")
    navigate().run()

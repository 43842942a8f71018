"""What happens once, when the server starts."""

from __future__ import annotations

import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

LIBRARIES = ("pages.kit.navigation", "numba", "scipy.stats", "scipy.optimize", "scipy.interpolate")


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Import what the labs stand on while the server already answers, so that the first visitor waits less."""
    # A folder named pages/ makes Streamlit take the app for one of its older kind until st.navigation has run once,
    # and greet a server's first visitor, if he opens a lab's link, with "Page not found".
    PagesManager.uses_pages_directory = False
    threading.Thread(target=_import_libraries, daemon=True).start()
    yield


def _import_libraries() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)

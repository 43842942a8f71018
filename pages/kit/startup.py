"""What happens once, when the server starts."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

LIBRARIES = ("pandas", "pages.kit.navigation", "numba", "scipy.stats", "scipy.optimize", "scipy.interpolate")


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Import what the labs stand on before the first visitor comes.

    Not in a thread: sessions that import the same libraries meanwhile find them half loaded, or wait for each other
    for good.
    """
    # A folder named pages/ makes Streamlit take the app for one of its older kind until st.navigation has run once,
    # and greet a server's first visitor, if he opens a lab's link, with "Page not found".
    PagesManager.uses_pages_directory = False
    for library in LIBRARIES:
        importlib.import_module(library)
    # The thread that sends to the browsers gets its turn soon, though another session computes.
    sys.setswitchinterval(1e-3)
    # What the libraries made lives as long as the server: no collection need look at it again.
    gc.collect()
    gc.freeze()
    yield

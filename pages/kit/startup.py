"""What happens once, when the server starts."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from pages.kit.discovery import entries


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Import the labs while the server already answers, so that the first visitor does not wait for them."""
    # A folder named pages/ makes Streamlit take the app for one of its older kind until st.navigation has run once,
    # and greet a server's first visitor, if he opens a lab's link, with "Page not found".
    PagesManager.uses_pages_directory = False
    threading.Thread(target=entries, daemon=True).start()
    yield

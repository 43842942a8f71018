"""A view of each kind in a real Chromium; with ``-m thorough``, every view of every lab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from pages.kit.discovery import Entry, entries
from pages.kit.lab import View
from pages.kit.run import is_live
from pages.kit.state import slug
from tests.browser.test_app import CHART, settle

ALL = [(e, v) for e in entries() for v in e.lab.views if is_live(v.experiment, {})]
ONE_OF_A_KIND = list({view.kind: (entry, view) for entry, view in reversed(ALL)}.values())


def name(value: object) -> str:
    return value.name if isinstance(value, Entry) else slug(value.title) if isinstance(value, View) else str(value)


def look(page: Page, app: str, entry: Entry, view: View) -> None:
    """Open a view, move each of its sliders to both ends; nothing breaks and a figure stands there."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{app}/{entry.url}?view={slug(view.title)}")
    page.wait_for_selector(f"{CHART} .main-svg", timeout=90_000)
    settle(page)
    sliders = page.locator("[data-testid=stSlider] input[type=range]")
    for k in range(sliders.count()):
        for key in ("Home", "End"):
            sliders.nth(k).focus()
            page.keyboard.press(key)
            settle(page)
            # A figure, or a sentence that says why there is none at this end, or a Run button.
            said = page.locator(f"{CHART} .main-svg, [data-testid=stAlert], .st-key-{entry.name}-run")
            said.first.wait_for(timeout=60_000)
        page.get_by_role("button", name="Reset", exact=True).click()
        settle(page)
    assert page.get_by_text("could not be computed").count() == 0
    assert not errors, errors


@pytest.mark.parametrize("entry,view", ONE_OF_A_KIND, ids=name)
def test_a_view_of_each_kind(page: Page, app: str, entry: Entry, view: View) -> None:
    look(page, app, entry, view)


@pytest.mark.thorough
@pytest.mark.parametrize("entry,view", ALL, ids=name)
def test_every_view(page: Page, app: str, entry: Entry, view: View) -> None:
    look(page, app, entry, view)

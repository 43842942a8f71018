"""What a lab says, as the browser sets it."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.conftest import start_app


def test_every_equation_of_every_lab_is_set(page: Page) -> None:
    process, url = start_app(script="tests/browser/all_words.py")
    try:
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(url)
        page.get_by_text("That is all.").wait_for(timeout=120_000)
        page.locator(".katex").last.wait_for()
        page.wait_for_timeout(1000)
        wrong = page.evaluate(
            """() => [...document.querySelectorAll(".katex-error, .katex [style*='color: red'], .katex [style*='color:#cc0000']")]
            .map((e) => [e.closest("[class*=st-key-words-]")?.className.match(/st-key-words-(\\w+)/)?.[1], e.textContent.slice(0, 90)])"""
        )
        assert not wrong, wrong
        assert page.locator(".katex").count() > 100
        width = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth")
        assert width <= 391, "words are wider than a phone"
    finally:
        process.terminate()
        process.wait(10)

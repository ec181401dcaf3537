"""A browser on a live gateway, in which somebody is signed in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from conftest import CHROMIUM, PASSWORD, Cast, Catalogue, LiveGateway

PATIENCE_MS = 10_000
expect.set_options(timeout=PATIENCE_MS)
NewContext = Callable[..., BrowserContext]
Visit = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all tests of this folder. Playwright's event loop must not outlive them: others bring their own."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # That loop seems to run in this thread all the while. Because of it Django would refuse any SQL, and opens a
        # connection apart from the one that the thread has otherwise.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
        connections.close_all()


@pytest.fixture
def new_context(gateway: LiveGateway, browser: Browser) -> Iterator[NewContext]:
    """A window on the gateway of which no other test knows: with its own cookies, and gone afterwards."""
    with ExitStack() as opened:

        def new_context(**options: object) -> BrowserContext:
            context = browser.new_context(base_url=gateway.url, **options)  # type: ignore[arg-type]  # Playwright's own
            opened.callback(context.close)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            return context

        yield new_context


@pytest.fixture
def visit(cast: Cast, catalogue: Catalogue, new_context: NewContext) -> Iterator[Visit]:
    """Sign somebody in and open an address. Fails the test for any mistake in a script, and for any dialog."""
    mistakes: list[str] = []

    def visit(path: str, username: str = "alice", **options: object) -> Page:
        page = new_context(**options).new_page()
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.on("dialog", lambda dialog: mistakes.append(f"dialog: {dialog.message}"))
        page.on("console", lambda told: mistakes.append(told.text) if _is_mistake(told.text) else None)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"/sign-in/?{urlencode({'next': path})}")
        page.get_by_label("Username").fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign in")).to_have_count(0)
        page.wait_for_load_state("load")  # keys are heard once the scripts have run
        return page

    yield visit
    assert mistakes == []


def _is_mistake(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text

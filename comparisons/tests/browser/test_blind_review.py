"""Blind review in a browser, by the keyboard."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, expect

from comparisons.models import BlindReview, Comparison
from comparisons.tests.browser.conftest import Visit
from comparisons.tests.rows import make_comparison
from conftest import Cast

pytestmark = pytest.mark.browser
REVIEW = "/comparisons/review/"
MODELS = ("acme-lab/alpha-9", "beta-works/bravo-7", "gamma-inc/charlie-5")
NAMES = re.compile("alpha|bravo|charlie-5|acme-lab|beta-works|gamma-inc")


@pytest.fixture(autouse=True)
def comparisons(cast: Cast) -> list[Comparison]:
    """Two that bob has asked, the newest first."""
    return [make_comparison(cast.bob.user, *MODELS, id=f"cmp_{number:032x}") for number in (2, 1)]


def model_at(page: Page, place: int) -> str:
    return page.locator(".column h2").nth(place).get_attribute("title") or ""


def test_nothing_that_the_browser_receives_tells_the_names_before_the_vote(visit: Visit):
    page = visit(REVIEW)
    page.wait_for_load_state("networkidle")
    received: list[Response] = []
    page.on("response", lambda response: received.append(response))
    page.reload(wait_until="networkidle")
    expect(page.locator(".column")).to_have_count(3)
    expect(page.get_by_text("2 left")).to_be_visible()
    assert NAMES.search(page.content()) is None
    for response in received:
        sent = f"{response.url} {response.all_headers()} {response.text() if response.ok else ''}"
        assert NAMES.search(sent) is None, response.url
    page.keyboard.press("1")
    expect(page.get_by_text("You chose A")).to_be_visible()
    assert NAMES.search(page.content()) is not None


def test_a_queue_is_worked_off_without_a_mouse(visit: Visit, cast: Cast, comparisons: list[Comparison]):
    page = visit(REVIEW)
    expect(page).to_have_url(re.compile(comparisons[0].pk))
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(comparisons[1].pk))
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile(comparisons[0].pk))
    page.keyboard.press("n")
    page.keyboard.type("1 t x j: only a text")
    expect(page.get_by_label("Why (optional)")).to_have_value("1 t x j: only a text")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.get_by_text("You chose B")).to_be_visible()
    vote = comparisons[0].votes.get()
    order = BlindReview.objects.get(comparison=comparisons[0], reviewer=cast.alice.user).order
    assert (vote.winner, vote.order, vote.blind, vote.note) == (order[1], order, True, "1 t x j: only a text")
    assert model_at(page, 1) == MODELS[order[1]]
    page.keyboard.press("j")
    expect(page.get_by_text("1 left")).to_be_visible()
    page.keyboard.press("x")
    expect(page.get_by_text("You found all bad.")).to_be_visible()
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible()
    expect(page.get_by_text("2 votes on 2 comparisons")).to_be_visible()


def test_the_keys_are_explained(visit: Visit):
    page = visit(REVIEW)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Vote: all bad")
    page.keyboard.press("t")
    expect(page.get_by_text("2 left")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    expect(page.get_by_text("You said it is a tie.")).to_be_visible()


def test_enter_in_the_reason_votes_for_nobody(visit: Visit, comparisons: list[Comparison]):
    page = visit(REVIEW)
    page.get_by_label("Why (optional)").fill("Hm.")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 left")).to_be_visible()
    assert not comparisons[0].votes.exists()


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_barriers_and_fits(visit: Visit, width: int, scheme: str):
    page = visit(REVIEW, viewport={"width": width, "height": 900}, color_scheme=scheme)
    expect(page.locator(".column")).to_have_count(3)
    assert_good(page)
    page.get_by_role("button", name="A is best").click()
    expect(page.get_by_text("You chose A")).to_be_visible()
    assert_good(page)


def assert_good(page: Page) -> None:
    """No barrier that axe knows of, and nothing to scroll sideways for but what is made for it."""
    assert [problem["id"] for problem in Axe().run(page).response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

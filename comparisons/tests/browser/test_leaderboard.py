"""The leaderboard in a browser."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from playwright.sync_api import expect

from comparisons.leaderboard import shelf
from comparisons.models import Vote
from comparisons.tests.browser.conftest import Visit
from comparisons.tests.rows import make_comparison
from conftest import Cast

pytestmark = pytest.mark.browser
LEADERBOARD = "/comparisons/leaderboard/"


@pytest.fixture(autouse=True)
def votes(cast: Cast) -> None:
    """fake/good wins two of three; the tag math has six of the votes."""
    for number in range(36):
        tags = ("math",) if number < 6 else ()
        comparison = make_comparison(cast.alice.user, "fake/good", "fake/poor", tags=tags)
        Vote.objects.cast(comparison, cast.bob.user, "slot", number % 3 // 2)
    comparison = make_comparison(cast.alice.user, "other/one", "other/two")
    Vote.objects.cast(comparison, cast.bob.user, "tie")


def test_the_best_model_is_on_top_and_a_filter_changes_table_and_address(visit: Visit):
    page = visit(LEADERBOARD)
    table = page.get_by_role("region", name="Table of ratings", exact=True)
    expect(table.get_by_role("rowheader").first).to_contain_text("fake/good")
    expect(page.get_by_text("37 votes on 37 comparisons")).to_be_visible()
    expect(page.get_by_role("img", name="Cost of an answer against rating").first).to_be_visible()
    page.get_by_label("Tag").select_option("math")
    expect(page.get_by_text("6 votes on 6 comparisons")).to_be_visible()
    assert "tag=math" in page.url
    page.reload()
    expect(page.get_by_text("6 votes on 6 comparisons")).to_be_visible()
    page.get_by_label("Votes").select_option("blind")
    expect(page.get_by_role("heading", name="No votes here")).to_be_visible()
    page.get_by_role("link", name="Show everything").click()
    expect(page.get_by_text("37 votes on 37 comparisons")).to_be_visible()


def test_a_large_board_appears_when_it_is_counted(visit: Visit, monkeypatch: pytest.MonkeyPatch):
    cache.clear()
    monkeypatch.setattr(shelf, "SMALL", 0)
    page = visit(LEADERBOARD)
    expect(page.get_by_text("37 votes on 37 comparisons.")).to_be_visible()
    expect(page.get_by_text("Counting the votes")).to_have_count(0)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_barriers_and_fits(visit: Visit, width: int, scheme: str):
    page = visit(LEADERBOARD, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.get_by_text("How to read this").click()
    assert [problem["id"] for problem in Axe().run(page).response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

"""No serious finding of axe-core, light and dark, wide and narrow; nothing wider than the screen."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from comparisons.models import Note, Vote
from comparisons.tests.browser.conftest import Visit
from comparisons.tests.rows import make_comparison
from conftest import Cast, Catalogue

pytestmark = pytest.mark.browser
MARKDOWN = "# Title\n\nSome `code` and a [link](https://example.com).\n\n```\n" + "long " * 60 + "\n```\n\n> quote\n"


def check(page: Page, where: str, width: int) -> None:
    found = Axe().run(page).response["violations"]
    serious = [
        f"{where}: {finding['id']}: {node['target']} {node['failureSummary']}"
        for finding in found
        for node in finding["nodes"]
        if finding["impact"] in {"serious", "critical"}
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, where


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_for_everybody(visit: Visit, cast: Cast, catalogue: Catalogue, scheme: str, width: int):
    catalogue.chain("house", catalogue.demo("echo"))
    row = make_comparison(cast.bob.user, *(f"a/model-{n}" for n in range(10)), failed=(3,), tags=("math", "long " * 12))
    row.answers.filter(slot=0).update(content=MARKDOWN, response={"long": "x" * 500})
    Vote.objects.cast(row, cast.alice.user, "slot", 1, note="clear")
    Note.objects.write(row, cast.bob.user, "A note.")

    page = visit("/comparisons/", color_scheme=scheme, viewport={"width": width, "height": 900})
    check(page, "history", width)
    page.goto("/comparisons/?q=unheard+of&tag=x")
    check(page, "empty history", width)
    for view in ("rendered", "text", "json"):
        page.goto(f"/comparisons/{row.pk}?view={view}")
        check(page, view, width)
    page.goto(f"/comparisons/{row.pk}?diff=0,1&only=on")
    check(page, "differences", width)
    page.keyboard.press("?")
    check(page, "keys", width)
    page.goto("/playground/?models=house,demo/echo&system=Briefly&prompt=Hello+**there**")
    check(page, "playground", width)
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#columns .status")).to_have_text(["Answered", "Answered"])
    check(page, "answers", width)
    page.get_by_role("button", name="Differences").click()
    expect(page.locator("#difference .column")).to_have_count(2)
    check(page, "their differences", width)
    page.locator("details.account summary").click()
    page.get_by_role("button", name="Sign out").click()
    check(page, "sign-in", width)

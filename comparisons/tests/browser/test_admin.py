"""The admin in a browser: nothing on its pages is kept from working by their content security policy.

A refused script, style or image is told on the console; so is any mistake in a script, and a file that is missing.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from accounts.tests.admin_pages import make_operator
from comparisons.tests.browser.conftest import PATIENCE_MS, NewContext
from comparisons.tests.rows import make_comparison
from conftest import PASSWORD, Cast, Catalogue, LiveGateway
from proxy.tests.usage_events import append, event
from proxy.usage.drain import drain

pytestmark = pytest.mark.browser
REQUEST_ID = "req_" + "7" * 32


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the console and failing scripts say, which must be nothing."""
    told: list[str] = []
    yield told
    assert told == []


@pytest.fixture
def admin(
    gateway: LiveGateway,
    cast: Cast,
    catalogue: Catalogue,
    new_context: NewContext,
    told: list[str],
) -> Page:
    """The overview, as an operator sees it who has just signed in."""
    make_operator()
    catalogue.chain("default", catalogue.demo("echo"))
    append(event(request_id=REQUEST_ID, tenant_id=cast.acme.pk, user_id=cast.alice.user.pk))
    drain()
    make_comparison(cast.alice.user, "fake/good", "fake/poor")
    page = new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda said: told.append(said.text) if said.type in {"error", "warning"} else None)
    page.set_default_timeout(PATIENCE_MS)
    page.goto("/admin/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{gateway.url}/admin/")
    return page


def test_every_page_of_the_side_bar_with_its_forms(admin: Page):
    links = admin.locator("#nav-sidebar a[href^='/admin/']").all()
    lists = [str(link.get_attribute("href")) for link in links]
    assert len(lists) >= 14
    for path in lists:
        visit(admin, path)
        inner = [admin.locator(f"a[href='{path}add/']"), admin.locator(f"tbody a[href^='{path}'][href*='/change/']")]
        for form in {str(link.first.get_attribute("href")) for link in inner if link.count()}:
            visit(admin, form)


def test_the_side_bar_folds_and_the_theme_switches(admin: Page):
    fold = admin.get_by_text("dock_to_right").filter(visible=True)
    fold.click()
    expect(admin.get_by_role("link", name="Explain request")).to_be_hidden()
    fold.click()
    expect(admin.get_by_role("link", name="Explain request")).to_be_visible()
    admin.get_by_text("olga@example.com").click()
    admin.get_by_text("Dark", exact=True).click()
    expect(admin.locator("html")).to_have_class(re.compile(r"\bdark\b"))
    admin.reload()
    expect(admin.locator("html")).to_have_class(re.compile(r"\bdark\b"))


def test_pages_are_found_by_their_names(admin: Page):
    admin.keyboard.press("Control+k")
    admin.locator("#search-input-command").press_sequentially("tenan")
    expect(admin.locator("#command-results").get_by_text("Tenants")).to_be_visible()


def test_usage_is_filtered_explained_and_exported(admin: Page):
    visit(admin, "/admin/proxy/usage/")
    admin.locator("a", has_text="Filters").click()
    admin.locator("#select2-id_chain-container").click()
    admin.get_by_role("option", name="default").click()
    admin.get_by_role("button", name="Apply Filters").click()
    expect(admin).to_have_url(re.compile("chain=default"))
    with admin.expect_download() as export:
        admin.get_by_role("link", name="Export CSV").click()
    assert REQUEST_ID in export.value.path().read_text()
    visit(admin, "/admin/proxy/usage/explain/")
    admin.get_by_label("x-request-id").fill(REQUEST_ID)
    admin.get_by_role("button", name="Explain").click()
    expect(admin.get_by_text("openai/gpt-4o-mini").first).to_be_visible()


def test_a_chain_is_edited_and_tried(admin: Page):
    visit(admin, "/admin/proxy/modelchain/")
    admin.get_by_role("link", name="default").click()
    admin.get_by_role("button", name="Python (openai)").click()
    admin.get_by_role("button", name="Copy").click()
    expect(admin.get_by_role("button", name="Copied")).to_be_visible()
    assert "OpenAI(" in admin.evaluate("navigator.clipboard.readText()")
    rows = admin.locator("select[name^='links-'][name$='-model']")
    before = rows.count()
    admin.get_by_role("link", name="Add another").click()
    expect(rows).to_have_count(before + 1)
    admin.locator(".field-tenants .select2-selection").click()
    admin.locator(".select2-search__field").last.press_sequentially("acm")
    admin.get_by_role("option", name="acme").click()
    admin.get_by_role("button", name="Save and continue editing").click()
    expect(admin.get_by_text("was changed successfully")).to_be_visible()
    expect(admin.locator(".field-tenants").get_by_role("listitem", name="acme")).to_be_visible()
    admin.get_by_role("link", name="Try it").click()
    admin.get_by_role("button", name="Ask").click()
    expect(admin.get_by_text("(demo) answered")).to_be_visible()


def test_a_key_is_issued_and_copied(admin: Page):
    visit(admin, "/admin/accounts/apikey/add/")
    admin.get_by_label("Name").fill("laptop")
    admin.locator(".field-user .select2-selection").click()
    admin.locator(".select2-dropdown .select2-search__field").press_sequentially("ali")
    admin.get_by_role("option", name="alice").click()
    admin.locator("#calendarlink0").click()
    admin.locator("#calendarbox0").get_by_role("link", name="Tomorrow").click()
    admin.locator("#clocklink0").click()
    admin.locator("#clockbox0").get_by_role("link", name="Noon").click()
    admin.get_by_role("button", name="Save").first.click()
    admin.get_by_role("button", name="Copy the key").click()
    assert admin.evaluate("navigator.clipboard.readText()").startswith("gw_live_")


def test_a_route_is_tried_on_the_pages_of_the_api(admin: Page):
    response = admin.goto("/api/docs")
    assert response
    assert "script-src 'self';" in response.headers["content-security-policy"]
    admin.locator(".opblock-summary").filter(has_text="/health").first.click()
    admin.get_by_role("button", name="Try it out").click()
    admin.get_by_role("button", name="Execute").click()
    expect(admin.locator(".live-responses-table")).to_contain_text("llm-gateway-proxy")


def test_other_pages_for_browsers(admin: Page):
    for path in ("/", "/admin/password_change/", "/admin/proxy/"):
        response = admin.goto(path)
        assert response
        assert "default-src 'none'" in response.headers["content-security-policy"]


def visit(page: Page, path: str) -> None:
    """Open it, and wait until its scripts have made it what it is."""
    response = page.goto(path)
    assert response
    assert response.status == 200, path
    assert "script-src 'self' 'unsafe-eval';" in response.headers["content-security-policy"]
    expect(page.locator("html[x-cloak]")).to_have_count(0)

"""History and detail in a browser: by keyboard, with partial updates, and without JavaScript."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from comparisons.models import Comparison
from comparisons.tests.browser.conftest import Visit
from comparisons.tests.rows import make_comparison
from conftest import Cast

pytestmark = pytest.mark.browser
ATTACK = "<img src=x onerror=alert(1)>"


@pytest.fixture
def rows(visit: Visit, cast: Cast) -> list[Comparison]:
    """Three, the first the oldest."""
    return [
        make_comparison(
            cast.bob.user,
            *("a/one", "b/two", "c/three"),
            id=f"cmp_{number:032x}",
            title=f"Number {number}",
            tags=("odd",) if number % 2 else (),
        )
        for number in range(3)
    ]


def address(row: Comparison) -> str:
    return f"/comparisons/{row.pk}"


def test_the_history_is_searched_while_typing(visit: Visit, rows: list[Comparison]):
    page = visit("/comparisons/")
    expect(page.locator(".item")).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("number 1")
    expect(page.locator(".item .open")).to_have_text(["Number 1"])
    expect(page).to_have_url(re.compile(r"/comparisons/\?q=number(\+|%20)1$"))
    page.reload()
    expect(page.get_by_label("Search")).to_have_value("number 1")
    expect(page.locator(".item .open")).to_have_text(["Number 1"])
    page.get_by_role("link", name="Clear all").click()
    expect(page.locator(".item")).to_have_count(3)


def test_filters_stand_in_the_address_and_lead_through_the_results(visit: Visit, rows: list[Comparison]):
    page = visit("/comparisons/")
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Tag").fill("odd")
    page.keyboard.press("Enter")
    expect(page.locator(".item .open")).to_have_text(["Number 1"])
    page.locator(".item .open").click()
    expect(page).to_have_url(re.compile(r"\?tag=odd$"))
    expect(page.get_by_role("link", name="Older")).to_have_count(0)


def test_the_list_walks_by_j_and_k(visit: Visit, rows: list[Comparison]):
    page = visit("/comparisons/")
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    expect(page.locator(".item .open").nth(1)).to_be_focused()
    for key, title in (("Enter", "Number 1"), ("j", "Number 0"), ("k", "Number 1"), ("u", "History")):
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        page.wait_for_load_state("load")  # the next key is heard once the scripts have run


@pytest.mark.parametrize(("key", "verdict"), [("2", "B"), ("t", "Tie"), ("x", "All bad")])
def test_one_key_votes(visit: Visit, rows: list[Comparison], key: str, verdict: str):
    page = visit(address(rows[0]))
    page.keyboard.press(key)
    expect(page.locator("#votebar [aria-pressed=true]")).to_contain_text(verdict)
    expect(page.get_by_role("region", name="Votes")).to_contain_text("alice")
    assert str(rows[0].votes.get()) == verdict
    page.keyboard.press("1")
    expect(page.get_by_role("button", name="A is best", pressed=True)).to_be_visible()
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("Nobody has voted yet.")).to_be_visible()


def test_nobody_votes_twice_before_the_first_vote_is_answered(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[0]))
    held: list[Route] = []
    page.route("**/vote", lambda vote: held.append(vote))
    page.keyboard.press("1")
    expect(page.get_by_role("button", name="B is best")).to_be_disabled()
    page.keyboard.press("2")
    [vote] = held
    vote.continue_()
    expect(page.get_by_role("button", name="A is best", pressed=True)).to_be_enabled()
    assert str(rows[0].votes.get()) == "A"


def test_a_note_is_written_by_keyboard_and_typing_votes_for_nothing(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[0]))
    page.keyboard.press("n")
    note = page.get_by_label("Write a note")
    expect(note).to_be_focused()
    page.keyboard.type("1 t x j d: all of them")
    expect(note).to_have_value("1 t x j d: all of them")
    page.get_by_role("button", name="Add note").click()
    expect(page.get_by_role("region", name="Notes")).to_contain_text("1 t x j d: all of them")
    expect(note).to_have_value("")
    assert not rows[0].votes.exists()


def test_a_reason_goes_with_the_vote_and_enter_alone_votes_for_nothing(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[0]))
    page.get_by_label("Why (optional)").fill("the clearest")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert not rows[0].votes.exists()
    page.keyboard.press("3")
    expect(page.get_by_role("region", name="Votes")).to_contain_text("the clearest")
    assert (rows[0].votes.get().winner, rows[0].votes.get().note) == (2, "the clearest")


def test_differences_and_views_by_keyboard(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[0]))
    page.keyboard.press("d")
    expect(page.locator("del")).to_have_text("0.")
    page.get_by_label("Right").select_option(label="C · c/three")
    expect(page.locator("ins")).to_have_text("2.")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    expect(page.locator(".column")).to_have_count(3)
    page.keyboard.press("v")
    expect(page).to_have_url(re.compile("view=text"))


def test_the_keys_are_listed_and_stay_quiet_meanwhile(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[0]))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Vote: all bad")
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert not rows[0].votes.exists()


def test_tags_and_title_change_in_place(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[1]))
    page.get_by_label("New tag").fill("sky, blue")
    page.keyboard.press("Enter")
    expect(page.locator("#tags .tag")).to_have_count(3)
    page.get_by_role("button", name="Remove the tag odd").click()
    expect(page.locator("#tags .tag")).to_have_count(2)
    page.get_by_text("Edit", exact=True).click()
    page.get_by_role("textbox", name="Title").fill("Renamed")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Renamed")


def test_the_link_is_copied_and_opens_for_a_colleague_only(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[0]))
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith(address(rows[0]))
    assert visit(address(rows[0]), "bob").locator(".column").count() == 3
    assert visit(address(rows[0]), "charlie").locator(".column").count() == 0


def test_it_can_be_exported(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[0]))
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Markdown").click()
    assert download.value.suggested_filename == f"{rows[0].pk}.md"
    assert "Because of answer number 1" in download.value.path().read_text()


def test_what_was_found_can_be_exported(visit: Visit, rows: list[Comparison]):
    page = visit("/comparisons/?tag=odd")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    told = download.value.path().read_text()
    assert "Number 1" in told
    assert "Number 2" not in told


def test_what_went_wrong_is_said(visit: Visit, rows: list[Comparison]):
    page = visit(address(rows[0]))
    Comparison.objects.all().delete()
    page.keyboard.press("1")
    expect(page.locator("#trouble")).to_contain_text("Reload the page")


def test_a_running_comparison_shows_its_end_by_itself(visit: Visit, rows: list[Comparison]):
    Comparison.objects.filter(pk=rows[0].pk).update(status="running")
    rows[0].answers.update(status="running")
    page = visit(address(rows[0]))
    expect(page.get_by_text("Votes are open as soon as")).to_be_visible()
    rows[0].answers.update(status="ok")
    Comparison.objects.filter(pk=rows[0].pk).update(status="complete")
    expect(page.locator("#facts")).to_contain_text("Complete")
    expect(page.get_by_role("button", name="A is best")).to_be_visible()


def test_without_javascript_everything_can_be_read_and_judged(visit: Visit, rows: list[Comparison]):
    page = visit("/comparisons/?q=Number+2", java_script_enabled=False)
    page.get_by_role("link", name="Number 2").click()
    page.get_by_role("link", name="JSON").click()
    expect(page.locator(".column")).to_have_count(3)
    page.get_by_role("link", name="Differences").click()
    expect(page.locator("del")).to_have_text("0.")
    page.get_by_role("button", name="B is best").click()
    expect(page.get_by_role("region", name="Votes")).to_contain_text("alice")
    page.get_by_label("Write a note").fill("Good.")
    page.get_by_role("button", name="Add note").click()
    expect(page.get_by_role("region", name="Notes")).to_contain_text("Good.")


def test_what_people_and_models_write_does_nothing(visit: Visit, cast: Cast):
    row = make_comparison(cast.bob.user, ATTACK, "b/two", title=ATTACK, prompt=ATTACK, tags=(ATTACK,))
    row.answers.update(content=f"{ATTACK}<script>alert(2)</script>", label=ATTACK)
    page = visit("/comparisons/")
    _expect_nothing(page)
    page.locator(".item .open").click()
    page.get_by_label("Write a note").fill(ATTACK)
    page.get_by_role("button", name="Add note").click()
    expect(page.get_by_role("region", name="Notes")).to_contain_text(ATTACK)
    page.get_by_label("Why (optional)").fill(f'">{ATTACK}')
    page.get_by_role("button", name="A is best").click()
    expect(page.get_by_role("region", name="Votes")).to_contain_text(ATTACK)
    _expect_nothing(page)
    for view in ("JSON", "Text", "Differences"):
        page.get_by_role("link", name=view).click()
        expect(page.get_by_role("link", name=view)).to_have_attribute("aria-current", "true")
        _expect_nothing(page)


def _expect_nothing(page: Page) -> None:
    """`visit` fails the test for any dialog."""
    expect(page.get_by_text(ATTACK).first).to_be_attached()
    assert page.locator("body img, body script").count() == 0

"""The playground in a browser: answers that stream, and what can be done with them."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from comparisons.models import Comparison
from comparisons.tests.browser.conftest import Visit
from conftest import Cast, Catalogue
from proxy.tests.fake_provider import FakeProvider, chunks, error, stream, then_hang

pytestmark = pytest.mark.browser
PLAYGROUND = "/playground/"


@pytest.fixture(autouse=True)
def models(catalogue: Catalogue, provider: FakeProvider) -> None:
    for name in ("one", "two", "three"):
        catalogue.model(f"fake/{name}", input_price_per_mtok=1, output_price_per_mtok=1000)
        provider.on(name, stream(chunks("Answer ", "of ", name)))


def ask(page: Page, prompt: str = "Who are you?") -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.keyboard.press("Control+Enter")


def chip(page: Page, model: str) -> Locator:
    return page.locator(".chip", has_text=model)


def test_the_chosen_models_answer_side_by_side(visit: Visit):
    page = visit(PLAYGROUND)
    expect(page.get_by_role("button", name="Run")).to_be_enabled()
    chip(page, "fake/three").click()
    chip(page, "fake/two").click()
    expect(page.locator("#columns h2")).to_have_text(["fake/one", "fake/two"])
    ask(page)
    for letter, said in (("A", "Answer of one"), ("B", "Answer of two")):
        shown = page.get_by_label(f"Column {letter}", exact=True)
        expect(shown.locator(".answer")).to_contain_text(said)
        expect(shown.locator(".status")).to_have_text("Answered")
        expect(shown).to_contain_text("7 → 3")
        expect(shown).to_contain_text("$0.003007")
    page.get_by_role("link", name="Open this comparison").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Who are you?")
    expect(page.locator(".column")).to_have_count(2)


def test_an_answer_is_seen_while_it_comes_and_can_be_stopped(visit: Visit, provider: FakeProvider):
    provider.on("two", then_hang(chunks("It begins ", "and")[:-2]))
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=Tell")
    page.get_by_role("button", name="Run").click()
    slow = page.get_by_label("Column B", exact=True)
    expect(slow.locator(".answer")).to_contain_text("It begins and")
    expect(slow.locator(".status")).to_have_text("Running")
    expect(slow).to_contain_text("~$0.0")
    expect(page.get_by_label("Column A", exact=True).locator(".status")).to_have_text("Answered")
    page.get_by_role("button", name="Stop all").click()
    expect(slow.locator(".status")).to_have_text("Stopped")
    page.get_by_role("link", name="Open this comparison").click()
    expect(page.locator("#facts")).to_contain_text("Interrupted")
    expect(page.locator(".column").nth(1)).to_contain_text("It begins and")


def test_a_failed_column_leaves_the_others_whole_and_can_be_retried(visit: Visit, provider: FakeProvider):
    provider.on("two", error(400, "invalid_value", "Not like this."), stream(chunks("Better", " now")))
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=Tell")
    page.get_by_role("button", name="Run").click()
    failed = page.get_by_label("Column B", exact=True)
    expect(failed.locator(".status")).to_have_text("Failed")
    expect(failed).to_contain_text("Not like this.")
    expect(page.get_by_label("Column A", exact=True).locator(".answer")).to_contain_text("Answer of one")
    failed.get_by_role("button", name="Retry").click()
    expect(failed.locator(".answer")).to_contain_text("Better now")
    failed.get_by_role("link", name="its own comparison").click()
    expect(page.locator("#facts")).to_contain_text("Re-run of")


def test_a_refused_run_says_why(visit: Visit):
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/gone&prompt=Tell")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("fake/gone")
    expect(page.locator("#columns .status:visible")).to_have_count(0)


def test_it_asks_for_what_is_missing(visit: Visit):
    page = visit(f"{PLAYGROUND}?models=fake/one")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_have_text("Write a prompt first.")
    ask(page)
    expect(page.get_by_role("alert")).to_have_text("Choose at least two models to compare.")


def test_parameters_and_settings_of_a_column_reach_the_model(visit: Visit, provider: FakeProvider):
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/one&system=Be brief&prompt=Tell")
    page.get_by_label("Temperature").first.fill("0.5")  # folded open, as there is a system prompt
    second = page.get_by_label("Column B", exact=True)
    second.get_by_text("Settings of this column").click()
    second.get_by_label("Temperature").fill("0")
    second.get_by_label("Max tokens").fill("9")
    page.get_by_role("button", name="Run").click()
    expect(second.locator(".status")).to_have_text("Answered")
    first, other = sorted(provider.bodies("one"), key=lambda body: body["temperature"], reverse=True)
    assert (first["temperature"], first.get("max_tokens")) == (0.5, None)
    assert (other["temperature"], other["max_tokens"]) == (0, 9)
    assert first["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Tell"}]


def test_the_differences_of_two_columns(visit: Visit, provider: FakeProvider):
    for name in ("one", "two"):
        provider.on(name, stream(chunks("They agree on so very many words that nobody would read ", name)))
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=Tell")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Differences").click()
    expect(page.locator("#difference del")).to_have_text("one")
    expect(page.locator("#difference ins")).to_have_text("two")
    page.get_by_label("Differences only").check()
    expect(page.locator("#difference .gap").first).to_be_visible()
    page.get_by_role("button", name="Text", exact=True).click()
    expect(page.locator("#difference")).to_be_hidden()


def test_a_late_answer_does_not_replace_the_difference_asked_for_last(visit: Visit, provider: FakeProvider):
    for name in ("one", "two"):
        provider.on(name, stream(chunks("They agree on so very many words that nobody would read ", name)))
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=Tell")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".column .status.ok")).to_have_count(2)
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/playground/difference", hold_the_first)
    page.get_by_role("button", name="Differences").click()
    page.get_by_label("Differences only").check()
    expect(page.locator("#difference .gap").first).to_be_visible()
    with page.expect_response("**/playground/difference"):
        held[0].continue_()
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    expect(page.locator("#difference .gap").first).to_be_visible()


def test_the_conversation_continues_from_one_column(visit: Visit, provider: FakeProvider):
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=First&system=Be brief")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Column B", exact=True).get_by_role("button", name="Continue from here").click()
    expect(page.get_by_label("The conversation so far")).to_contain_text("Answer of two")
    ask(page, "Second")
    expect(page.get_by_label("Column A", exact=True).locator(".status")).to_have_text("Answered")
    assert provider.bodies("one")[-1]["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Answer of two"},
        {"role": "user", "content": "Second"},
    ]


def test_compare_this_asks_the_same_of_others(visit: Visit):
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=Tell me")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Column B", exact=True).get_by_role("link", name="Compare this").click()
    expect(page.locator("#columns .column")).to_have_count(1)
    expect(page.locator("#columns h2")).to_have_text("fake/two")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("Tell me")


def test_title_and_tags_are_saved(visit: Visit):
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=Tell")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Title").fill("A good one")
    page.get_by_label("Tags").fill("math, short")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#saved")).to_have_text("Saved.")
    row = Comparison.objects.get()
    assert (row.title, [tag.name for tag in row.tags.all()], row.source) == (
        "A good one",
        ["math", "short"],
        "playground",
    )


def test_run_again_makes_a_successor(cast: Cast, visit: Visit):
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=Tell")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("link", name="Open this comparison").click()
    expect(page.locator("#facts")).to_contain_text("Complete")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile(r"/playground/\?from=cmp_"))
    expect(page.get_by_role("button", name="Run")).to_be_enabled()
    chip(page, "fake/three").click()
    page.get_by_role("button", name="Run").click()
    page.get_by_role("link", name="Open this comparison").click()
    expect(page.locator(".column")).to_have_count(3)
    page.locator("#facts").get_by_role("link").click()
    expect(page.get_by_text("Run again:")).to_be_visible()


def test_what_models_say_is_text(visit: Visit, provider: FakeProvider):
    attack = "<img src=x onerror=alert(1)><script>alert(2)</script>[x](javascript:alert(3))"
    provider.on("one", stream(chunks(attack)))
    provider.on("two", stream(chunks("**bold** ", attack)))
    page = visit(f"{PLAYGROUND}?models=fake/one,fake/two&prompt=Tell")
    page.get_by_role("button", name="Run").click()
    first = page.get_by_label("Column A", exact=True).locator(".answer")
    expect(first).to_have_class(re.compile("prose"))
    expect(first).to_contain_text("<img src=x onerror=alert(1)>")
    page.get_by_role("button", name="Differences").click()
    expect(page.locator("#difference")).to_contain_text("<script>alert(2)</script>")
    assert page.locator("main img, main script:not([type]), main a[href^=javascript]").count() == 0

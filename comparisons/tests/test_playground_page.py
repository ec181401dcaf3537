"""The playground as the server sends it. What it does in a browser: comparisons/tests/browser."""

import json
import re
from typing import Any

import pytest
from django.test import Client

from accounts.tests.admin_pages import signed_in, text_of
from comparisons.tests.rows import make_comparison
from conftest import Cast, Catalogue

PLAYGROUND = "/playground/"
ATTACK = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def alice(cast: Cast, catalogue: Catalogue) -> Client:
    catalogue.chain("house", catalogue.demo("echo"))
    catalogue.demo("slow")
    return signed_in(cast.alice.user)


def start(client: Client, **query: str) -> Any:
    """What the page is filled in with."""
    found = re.search(
        r'<script id="start" type="application/json">(.*?)</script>', text_of(client.get(PLAYGROUND, query))
    )
    assert found
    return json.loads(found[1])


def chips(client: Client) -> list[str]:
    return re.findall(r'<input type="checkbox" value="([^"]*)"', text_of(client.get(PLAYGROUND)))


def test_it_offers_chains_and_models(alice: Client):
    assert chips(alice) == ["house", "demo/echo", "demo/slow"]


def test_it_offers_nothing_of_another_tenant(cast: Cast, alice: Client, catalogue: Catalogue):
    catalogue.model("fake/theirs").tenants.add(cast.globex)
    catalogue.model("fake/ours").tenants.add(cast.acme)
    assert "fake/ours" in chips(alice)
    assert "fake/theirs" not in chips(alice)


def test_where_there_is_nothing_to_ask_it_says_what_to_do(cast: Cast):
    assert "There is no model to ask yet" in text_of(signed_in(cast.alice.user).get(PLAYGROUND))


def test_the_first_time_two_are_chosen_and_then_those_of_the_last_time(cast: Cast, alice: Client):
    assert [slot["model"] for slot in start(alice)["slots"]] == ["house", "demo/echo"]
    make_comparison(cast.alice.user, "demo/slow", "gone/model", "demo/echo", "demo/slow")
    assert [slot["model"] for slot in start(alice)["slots"]] == ["demo/slow", "demo/echo"]


def test_a_link_fills_it_in(alice: Client):
    filled = start(alice, prompt="Hello", system="Be brief", models="demo/slow, demo/echo")
    assert filled["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}]
    assert filled["slots"] == [{"model": "demo/slow"}, {"model": "demo/echo"}]


def test_a_stored_comparison_fills_it_in(cast: Cast, alice: Client):
    row = make_comparison(cast.bob.user, "demo/echo", "demo/slow", params={"temperature": 0.2}, fallbacks=True)
    row.answers.filter(slot=1).update(label="slow and seeded", params={"seed": 7})
    filled = start(alice, **{"from": row.pk})
    assert filled["from"] == row.pk
    assert filled["messages"] == row.messages
    assert filled["params"] == {"temperature": 0.2}
    assert filled["fallbacks"] is True
    assert filled["slots"] == [
        {"model": "demo/echo", "params": {}, "label": ""},
        {"model": "demo/slow", "params": {"seed": 7}, "label": "slow and seeded"},
    ]


def test_compare_this_takes_one_slot(cast: Cast, alice: Client):
    row = make_comparison(cast.alice.user, "demo/echo", "demo/slow")
    assert [slot["model"] for slot in start(alice, **{"from": row.pk, "slot": "1"})["slots"]] == ["demo/slow"]


def test_another_tenants_comparison_fills_in_nothing(cast: Cast, alice: Client):
    row = make_comparison(cast.charlie.user, "demo/echo", "demo/slow")
    assert alice.get(PLAYGROUND, {"from": row.pk}).status_code == 404


def test_what_fills_it_in_is_data(cast: Cast, alice: Client):
    page = text_of(alice.get(PLAYGROUND, {"prompt": ATTACK, "models": ATTACK}))
    assert "<img" not in page
    assert start(alice, prompt=ATTACK)["messages"][0]["content"] == ATTACK


def test_markdown_is_rendered_safely(alice: Client):
    html = text_of(alice.post(f"{PLAYGROUND}rendered", {"text": "**bold** <img src=x onerror=alert(1)>"}))
    assert "<strong>bold</strong>" in html
    assert "<img" not in html


def test_two_texts_are_compared_and_escaped(alice: Client):
    fields = {
        "left": f"one {ATTACK}",
        "right": "one two",
        "left_letter": "A",
        "right_letter": "C",
        "left_model": ATTACK,
    }
    html = text_of(alice.post(f"{PLAYGROUND}difference", fields))
    assert "1 place differs" in html
    assert "<ins>two</ins>" in html
    assert "<img" not in html


@pytest.mark.parametrize("route", ["rendered", "difference"])
def test_its_helpers_are_for_members(cast: Cast, route: str):
    assert Client().post(PLAYGROUND + route).status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.alice.user)
    assert strict.post(PLAYGROUND + route).status_code == 403

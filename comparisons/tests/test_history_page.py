"""The list of comparisons: filters, paging, what a row says."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Tenant
from accounts.tests.admin_pages import signed_in, text_of
from comparisons.models import Vote
from comparisons.tests.rows import make_comparison
from conftest import Cast

HISTORY = "/comparisons/"


@pytest.fixture
def alice(cast: Cast) -> Client:
    return signed_in(cast.alice.user)


def titles(response: Any) -> list[str]:
    return re.findall(r'<a class="open" [^>]*>([^<]*)</a>', text_of(response))


def test_the_newest_come_first(cast: Cast, alice: Client):
    for number, title in enumerate(("first", "second")):
        make_comparison(cast.alice.user, "a/one", "b/two", id=f"cmp_{number:032x}", title=title)
    assert titles(alice.get(HISTORY)) == ["second", "first"]


def test_another_tenants_comparisons_are_not_there(cast: Cast, alice: Client):
    make_comparison(cast.charlie.user, "a/one", "b/two", title="globex's own")
    assert "Nothing compared yet" in text_of(alice.get(HISTORY))
    assert "globex's own" not in text_of(alice.get(HISTORY, {"q": "globex"}))


def test_a_colleagues_comparisons_are(cast: Cast, alice: Client):
    make_comparison(cast.bob.user, "a/one", "b/two", title="bob's")
    assert titles(alice.get(HISTORY)) == ["bob&#x27;s"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"q": "SKY why"}, ["wanted"]),
        ({"model": "c/three"}, ["wanted"]),
        ({"tag": "math"}, ["wanted"]),
        ({"author": "bob"}, ["wanted"]),
        ({"winner": "c/three"}, ["wanted"]),
        ({"winner": "tie"}, []),
        ({"status": "partial"}, ["wanted"]),
        ({"since": "2026-03-01", "until": "2026-03-01"}, ["wanted"]),
        ({"since": "2026-03-02"}, ["other"]),
        ({"until": "2026-02-28"}, []),
        ({"since": "2026-0", "until": "9999-12-31", "q": "\0"}, ["other", "wanted"]),
        ({"author": "bob", "tag": "nothing"}, []),
    ],
)
def test_each_filter_finds_what_it_says(cast: Cast, alice: Client, filters: dict[str, str], found: list[str]):
    wanted = make_comparison(
        cast.bob.user,
        "b/two",
        "c/three",
        failed=(0,),
        title="wanted",
        tags=("math",),
        created_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
    )
    Vote.objects.cast(wanted, cast.alice.user, "slot", 1)
    make_comparison(
        cast.alice.user,
        "a/one",
        "b/two",
        title="other",
        prompt="Something else",
        created_at=datetime(2026, 3, 9, tzinfo=UTC),
    )
    assert titles(alice.get(HISTORY, filters)) == found


def test_days_are_those_of_the_tenants_time_zone(cast: Cast, alice: Client):
    Tenant.objects.filter(pk=cast.acme.pk).update(time_zone="Asia/Tokyo")
    make_comparison(
        cast.alice.user, "a/one", "b/two", title="late", created_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    )
    assert titles(alice.get(HISTORY, {"since": "2026-03-02"})) == ["late"]
    assert "2 Mar 2026, 08:30" in text_of(alice.get(HISTORY))


def test_the_filters_stand_in_the_form_and_in_every_link(cast: Cast, alice: Client):
    row = make_comparison(cast.alice.user, "a/one", "b/two", tags=("math",))
    page = text_of(alice.get(HISTORY, {"tag": "math"}))
    assert 'name="tag" value="math"' in page
    assert f'href="/comparisons/{row.pk}?tag=math"' in page


def test_nothing_found_says_what_to_do(cast: Cast, alice: Client):
    make_comparison(cast.alice.user, "a/one", "b/two")
    page = text_of(alice.get(HISTORY, {"q": "unheard of"}))
    assert "Nothing matches" in page
    assert "Clear all filters" in page


def test_pages_follow_each_other_without_gaps(cast: Cast, alice: Client):
    for number in range(60):
        fields: Any = {"id": f"cmp_{number:032x}", "title": f"number {number}"}
        make_comparison(cast.alice.user, "a/one", "b/two", tags=("math",), **fields)
    first = alice.get(HISTORY, {"tag": "math"})
    onward = re.search(r'href="(\?[^"]*after=[^"]*)"', text_of(first))
    assert onward
    address = HISTORY + onward[1].replace("&amp;", "&")
    assert "tag=math" in address
    second = alice.get(address)
    assert titles(first) + titles(second) == [f"number {number}" for number in reversed(range(60))]

    more = alice.get(address, headers={"HX-Request": "true", "HX-Target": "more"})
    assert titles(more) == titles(second)
    assert "<html" not in text_of(more)


def test_a_partial_update_has_the_results_alone(cast: Cast, alice: Client):
    make_comparison(cast.alice.user, "a/one", "b/two", title="found")
    part = alice.get(HISTORY, headers={"HX-Request": "true", "HX-Target": "results"})
    assert titles(part) == ["found"]
    assert "<html" not in text_of(part)
    assert "<form" not in text_of(part)


def test_a_row_tells_what_was_voted(cast: Cast, alice: Client):
    row = make_comparison(cast.alice.user, "a/one", "b/two")
    for member in (cast.alice, cast.bob):
        Vote.objects.cast(row, member.user, "slot", 1)
    assert "Voted: B × 2" in text_of(alice.get(HISTORY))


def test_titles_prompts_and_tags_are_text(cast: Cast, alice: Client):
    attack = "<img src=x onerror=alert(1)>"
    make_comparison(cast.alice.user, attack, "b/two", title=attack, prompt=attack, tags=(attack,))
    make_comparison(cast.alice.user, "a/one", "b/two", prompt=attack)
    page = text_of(alice.get(HISTORY, {"q": "<img"}))
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 4


def test_the_number_of_queries_does_not_grow_with_the_rows(
    cast: Cast, alice: Client, django_assert_max_num_queries: DjangoAssertNumQueries
):
    for _ in range(30):
        make_comparison(cast.alice.user, "a/one", "b/two", tags=("x",))
    with django_assert_max_num_queries(20):
        alice.get(HISTORY)

"""The stored history over the API: found, paged, exported, voted on, noted, asked again."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.callers import Caller
from comparisons import stored
from comparisons.filters import Filters
from comparisons.models import Comparison, Note, Vote
from comparisons.tests.rows import make_comparison
from conftest import Cast, Catalogue

Compare = Callable[..., httpx.Response]
Ended = Callable[[str], dict[str, Any]]
DAY = timedelta(days=1)
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)


def found(http: httpx.Client, **query: Any) -> list[str]:
    response = http.get("/v1/comparisons", params=query)
    assert response.status_code == 200, response.text
    return [each["title"] for each in response.json()["data"]]


@pytest.fixture
def history(cast: Cast, catalogue: Catalogue) -> None:
    """Three of acme's, and one of globex's that nobody else may find."""
    alice, bob, charlie = cast.alice.user, cast.bob.user, cast.charlie.user
    first = make_comparison(
        alice, "a/one", "b/two", title="first", id="cmp_1", prompt="Why are Oceans blue?", created_at=NOON - DAY
    )
    make_comparison(bob, "a/one", "c/three", failed=(1,), title="second", id="cmp_2", tags=("geo",), created_at=NOON)
    third = make_comparison(
        alice, "c/three", "b/two", title="third 100%", id="cmp_3", tags=("geo", "eu"), created_at=NOON + DAY
    )
    make_comparison(
        charlie, "a/one", "b/two", title="foreign", id="cmp_4", tags=("geo",), prompt="oceans", created_at=NOON
    )
    Vote.objects.cast(first, bob, "slot", 1)
    Vote.objects.cast(third, bob, "tie")


FILTERS: dict[str, tuple[dict[str, str], list[str]]] = {
    "everything": ({}, ["third 100%", "second", "first"]),
    "words of the prompt": ({"q": "blue OCEAN"}, ["first"]),
    "a part of a word of the title": ({"q": "secon"}, ["second"]),
    "a sign that means something to SQL": ({"q": "100%"}, ["third 100%"]),
    "a word that is not there": ({"q": "oceans green"}, []),
    "a model": ({"model": "b/two"}, ["third 100%", "first"]),
    "a tag": ({"tag": "geo"}, ["third 100%", "second"]),
    "an author": ({"author": "bob"}, ["second"]),
    "a winner": ({"winner": "b/two"}, ["first"]),
    "a model that lost": ({"winner": "a/one"}, []),
    "a slot that won": ({"winner": "1"}, ["first"]),
    "a slot that lost": ({"winner": "0"}, []),
    "a tie": ({"winner": "tie"}, ["third 100%"]),
    "a status": ({"status": "partial"}, ["second"]),
    "since a day": ({"since": "2026-11-10"}, ["third 100%", "second"]),
    "until a moment": ({"until": "2026-11-10T12:00:00Z"}, ["first"]),
    "between": ({"since": "2026-11-10T11:00:00+00:00", "until": "2026-11-11"}, ["second"]),
    "several at once": ({"tag": "geo", "model": "c/three", "author": "alice"}, ["third 100%"]),
}


@pytest.mark.parametrize(("query", "titles"), FILTERS.values(), ids=FILTERS.keys())
def test_the_history_is_searched(query: dict[str, str], titles: list[str], http: httpx.Client, history: None):
    assert found(http, **query) == titles


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"after": "nope"}, "after"),
        ({"after": "cmp_x"}, "after"),
        ({"status": "done"}, "status"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-13-01"}, "until"),
        ({"since": "9999-99-99T00:00:00Z"}, "since"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "until"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(query: dict[str, str], param: str, http: httpx.Client):
    response = http.get("/v1/comparisons", params=query)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_days_are_those_of_the_tenant(http: httpx.Client, history: None, cast: Cast):
    cast.acme.time_zone = "Pacific/Kiritimati"  # fourteen hours ahead: noon in London is the next day there
    cast.acme.save()
    assert found(http, until="2026-11-11") == ["first"]


def test_pages_follow_each_other(http: httpx.Client, cast: Cast):
    for number in range(5):
        make_comparison(cast.alice.user, "a/one", "b/two", title=str(number), id=f"cmp_{number:032x}")
    titles: list[str] = []
    after, page = "", dict[str, Any]()
    for _ in range(3):
        page = http.get("/v1/comparisons", params={"limit": 2, "after": after}).json()
        assert (page["object"], page["first_id"]) == ("list", page["data"][0]["id"])
        titles += [each["title"] for each in page["data"]]
        after = page["last_id"]
    assert (titles, page["has_more"]) == (["4", "3", "2", "1", "0"], False)
    empty = http.get("/v1/comparisons", params={"after": after}).json()
    assert empty == {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}


def test_a_list_shows_no_texts_of_models(http: httpx.Client, history: None):
    entry = http.get("/v1/comparisons", params={"q": "first"}).json()["data"][0]
    assert "content" not in entry["answers"][0]
    assert entry["votes"][0]["winner"] == 1
    assert entry["summary"]["ok"] == 2


# Export -------------------------------------------------------------------------------------------------------------

EVIL = '=HYPERLINK("http://evil.example";"x")'


@pytest.fixture
def evil(cast: Cast) -> Comparison:
    comparison = make_comparison(cast.alice.user, "a/one", "b/two", failed=(1,), title="+1", prompt="@SUM(1)\n```\n# x")
    comparison.answers.filter(slot=0).update(content=EVIL, label=" -2")
    Note.objects.write(comparison, cast.alice.user, "```\n<b>bold</b>")
    return comparison


def test_csv_is_safe_in_a_spreadsheet(http: httpx.Client, evil: Comparison):
    response = http.get(f"/v1/comparisons/{evil.pk}/export", params={"format": "csv"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == f'attachment; filename="{evil.pk}.csv"'
    first, second = csv.DictReader(io.StringIO(response.text))
    assert (first["content"], first["title"], first["label"]) == (f"'{EVIL}", "'+1", "' -2")
    assert first["prompt"].startswith("'@SUM")
    assert (first["slot"], first["ttft_ms"], first["status"]) == ("0", "150", "ok")
    assert (second["status"], second["error"]) == ("error", "server_error")


def test_jsonl_is_the_whole_of_it(http: httpx.Client, evil: Comparison):
    response = http.get(f"/v1/comparisons/{evil.pk}/export")
    [line] = response.text.splitlines()
    assert json.loads(line) == http.get(f"/v1/comparisons/{evil.pk}").json()
    assert json.loads(line)["answers"][0]["content"] == EVIL


def test_markdown_cannot_be_broken_out_of(http: httpx.Client, evil: Comparison):
    text = http.get(f"/v1/comparisons/{evil.pk}/export", params={"format": "md"}).text
    assert "# \\+1" in text or "# +1" in text
    assert "````\n@SUM(1)\n```\n# x\n````" in text
    assert "````\n```\n<b>bold</b>\n````" in text


def test_what_is_found_is_exported_whole(http: httpx.Client, cast: Cast, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("comparisons.views.history.EXPORTED_AT_ONCE", 2)
    for number in range(5):
        make_comparison(
            cast.alice.user,
            "a/one",
            "b/two",
            title=str(number),
            id=f"cmp_{number:032x}",
            tags=("geo",) if number else (),
        )
    make_comparison(cast.charlie.user, "a/one", "b/two", title="foreign", tags=("geo",))
    response = http.get("/v1/comparisons/export", params={"tag": "geo"})
    assert [json.loads(line)["title"] for line in response.text.splitlines()] == ["4", "3", "2", "1"]
    rows = list(csv.DictReader(io.StringIO(http.get("/v1/comparisons/export?format=csv").text)))
    assert len(rows) == 10


def test_an_unknown_format_is_refused(http: httpx.Client, evil: Comparison):
    for path in (f"/v1/comparisons/{evil.pk}/export", "/v1/comparisons/export"):
        response = http.get(path, params={"format": "xlsx"})
        assert (response.status_code, response.json()["error"]["param"]) == (400, "format")


# Votes and notes ----------------------------------------------------------------------------------------------------


def test_a_vote_may_be_cast_right_after_the_answer(compare: Compare, http: httpx.Client, catalogue: Catalogue):
    catalogue.demo("echo")
    asked = compare("demo/echo", "demo/echo").json()
    response = http.post(f"/v1/comparisons/{asked['id']}/votes", json={"winner": 1, "note": "Clearer."})
    assert response.status_code == 200, response.text
    vote = response.json()
    assert (vote["object"], vote["winner"], vote["voter"], vote["note"]) == ("vote", 1, "alice", "Clearer.")


def test_a_later_vote_replaces_the_first(http: httpx.Client, cast: Cast):
    comparison = make_comparison(cast.bob.user, "a/one", "b/two")
    for winner in (0, "all_bad", "tie"):
        assert http.post(f"/v1/comparisons/{comparison.pk}/votes", json={"winner": winner}).status_code == 200
    http.post(f"/v1/comparisons/{comparison.pk}/votes", json={"winner": 0}, headers=cast.bob.headers)
    votes = http.get(f"/v1/comparisons/{comparison.pk}").json()["votes"]
    assert {vote["voter"]: vote["winner"] for vote in votes} == {"alice": "tie", "bob": 0}


@pytest.mark.parametrize("winner", [2, -1, "a", None, True, 0.5, [0]])
def test_a_vote_for_nothing_is_refused(winner: Any, http: httpx.Client, cast: Cast):
    comparison = make_comparison(cast.alice.user, "a/one", "b/two")
    response = http.post(f"/v1/comparisons/{comparison.pk}/votes", json={"winner": winner})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "winner")


def test_notes_are_kept_in_order(http: httpx.Client, cast: Cast):
    comparison = make_comparison(cast.alice.user, "a/one", "b/two")
    for text in ("One.", "Two."):
        response = http.post(f"/v1/comparisons/{comparison.pk}/notes", json={"text": text})
        assert (response.status_code, response.json()["text"]) == (201, text)
    notes = http.get(f"/v1/comparisons/{comparison.pk}").json()["notes"]
    assert [(note["author"], note["text"]) for note in notes] == [("alice", "One."), ("alice", "Two.")]


NO_NOTES: list[tuple[Any, str | None]] = [
    ({"text": ""}, "text"),
    ({"text": 1}, "text"),
    ({"text": "x" * 10_001}, "text"),
    ({}, "text"),
    ([], None),
    ({"text": "x", "author": "bob"}, "author"),
]


@pytest.mark.parametrize("body, param", NO_NOTES, ids=[str(body)[:30] for body, _ in NO_NOTES])
def test_a_note_that_is_none_is_refused(body: Any, param: str | None, http: httpx.Client, cast: Cast):
    comparison = make_comparison(cast.alice.user, "a/one", "b/two")
    response = http.post(f"/v1/comparisons/{comparison.pk}/notes", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


# Asking again ---------------------------------------------------------------------------------------------------------


def test_a_rerun_asks_other_models_the_same(compare: Compare, http: httpx.Client, catalogue: Catalogue, ended: Ended):
    catalogue.demo("echo")
    catalogue.demo("down")
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi there"}]
    first = compare(
        "demo/down", "demo/down", messages=messages, params={"max_tokens": 1}, title="Greeting", tags=["x"]
    ).json()
    again = http.post(f"/v1/comparisons/{first['id']}/rerun", json={"models": ["demo/echo"]})
    assert again.status_code == 200, again.text
    second = again.json()
    assert (second["successor_of"], second["title"], second["tags"]) == (first["id"], "Greeting", ["x"])
    assert [each["content"] for each in second["answers"]] == ["Hi"]
    assert ended(second["id"])["messages"] == messages
    assert ended(first["id"])["successors"] == [second["id"]]


def test_a_rerun_without_models_asks_the_same_ones(compare: Compare, http: httpx.Client, catalogue: Catalogue):
    catalogue.demo("echo")
    first = compare({"model": "demo/echo", "label": "short", "params": {"max_tokens": 1}}, "demo/echo").json()
    second = http.post(f"/v1/comparisons/{first['id']}/rerun", json={}).json()
    assert [(each["label"], each["content"]) for each in second["answers"]] == [
        (each["label"], each["content"]) for each in first["answers"]
    ]


def test_another_question_is_no_rerun(http: httpx.Client, cast: Cast):
    comparison = make_comparison(cast.alice.user, "a/one", "b/two")
    assert http.post(f"/v1/comparisons/{comparison.pk}/rerun", json={"prompt": "Something else"}).status_code == 400


def test_an_address_that_is_nearly_an_id_finds_nothing(compare: Compare, http: httpx.Client, catalogue: Catalogue):
    catalogue.demo("echo")
    first = compare("demo/echo", "demo/echo").json()
    assert http.post(f"/v1/comparisons/{first['id']}%00/rerun", json={}).status_code == 404
    assert http.get(f"/v1/comparisons/{first['id']}%00").status_code == 404


def test_a_list_leaves_the_answers_texts_in_the_database(cast: Cast):
    make_comparison(cast.alice.user, "a/one", "b/two")
    caller = Caller.from_user(cast.alice.user)
    assert caller is not None
    with CaptureQueriesContext(connection) as queries:
        [row] = stored.page(caller, Filters(), "/")["data"]
    assert [answer["status"] for answer in row["answers"]] == ["ok", "ok"]
    assert not [query for query in queries if '"response"' in query["sql"] or '"content"' in query["sql"]]

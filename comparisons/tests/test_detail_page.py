"""The page of one comparison: what it shows, and what people can say about it."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.tests.admin_pages import make_operator, signed_in, text_of
from comparisons.models import Comparison, Note, Vote
from comparisons.tests.rows import make_comparison
from conftest import Cast

HTMX = {"HX-Request": "true"}
ATTACK = "<img src=x onerror=alert(1)>"


@pytest.fixture
def alice(cast: Cast) -> Client:
    return signed_in(cast.alice.user)


@pytest.fixture
def comparison(cast: Cast) -> Comparison:
    return make_comparison(cast.bob.user, "a/one", "b/two", "c/three", failed=(2,), tags=("math",))


def address(comparison: Comparison, part: str = "") -> str:
    return f"/comparisons/{comparison.pk}{part}"


def text(client: Client, comparison: Comparison, **query: str) -> str:
    response = client.get(address(comparison), query)
    assert response.status_code == 200
    return text_of(response)


# What it shows ----------------------------------------------------------------------------------------------------


def test_it_shows_every_answer_with_its_figures(alice: Client, comparison: Comparison):
    page = text(alice, comparison)
    for seen in ("Why is the sky blue?", "a/one", "150 ms", "1.20 s", "61.0 tok/s", "12 → 34", "$0.001", "fastest"):
        assert seen in page
    assert "Because of answer number 1." in page
    assert "The model failed." in page
    assert "502 server_error" in page


@pytest.mark.parametrize(("rate", "seen"), [(99.94, "99.9 tok/s"), (15990.5, "15,990 tok/s")])
def test_speeds_have_no_more_digits_than_they_are_worth(rate: float, seen: str, alice: Client, comparison: Comparison):
    comparison.answers.update(output_tokens_per_s=rate)
    assert seen in text(alice, comparison)


def test_it_names_the_tenants_parameters_and_the_whole_conversation(cast: Cast, alice: Client):
    messages = [
        {"role": "system", "content": "Answer in verse."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    row = make_comparison(cast.alice.user, "a/one", "b/two", messages=messages, params={"temperature": 0.5})
    row.answers.filter(slot=1).update(params={"seed": 7}, label="b seeded")
    page = text(alice, row)
    for seen in (
        "Answer in verse.",
        "What is this?",
        "[image_url]",
        "&quot;temperature&quot;: 0.5",
        "seed=7",
        "b seeded",
    ):
        assert seen in page


@pytest.mark.parametrize(
    ("view", "seen", "unseen"),
    [
        ("rendered", "<strong>bold</strong>", "**bold**"),
        ("text", "**bold**", "<strong>bold</strong>"),
        ("json", "&quot;finish_reason&quot;: &quot;stop&quot;", "<strong>bold</strong>"),
        ("nonsense", "<strong>bold</strong>", "**bold**"),
    ],
)
def test_answers_come_rendered_as_text_and_as_json(
    alice: Client, comparison: Comparison, view: str, seen: str, unseen: str
):
    comparison.answers.filter(slot=0).update(content="**bold**", response={"finish_reason": "stop"})
    page = text(alice, comparison, view=view)
    assert seen in page
    assert unseen not in page


@pytest.mark.parametrize("view", ["rendered", "text", "json", "diff"])
def test_nothing_that_was_written_is_html(cast: Cast, alice: Client, view: str):
    row = make_comparison(
        cast.alice.user, ATTACK, "b/two", title=ATTACK, prompt=ATTACK, tags=(ATTACK,), params={"stop": ATTACK}
    )
    row.answers.update(content=ATTACK, response={"x": ATTACK}, error={"message": ATTACK, "code": ATTACK}, label=ATTACK)
    Vote.objects.cast(row, cast.alice.user, "tie", note=ATTACK)
    Note.objects.write(row, cast.alice.user, ATTACK)
    query = {"diff": "0,1"} if view == "diff" else {"view": view}
    assert "<img" not in text(alice, row, **query)


def test_two_answers_word_by_word(alice: Client, comparison: Comparison):
    page = text(alice, comparison, diff="0,1")
    assert "1 place differs" in page
    assert "<del>0.</del>" in page
    assert "<ins>1.</ins>" in page


def test_the_two_can_be_chosen(alice: Client, comparison: Comparison):
    assert "<del>1.</del>" in text(alice, comparison, diff="0,1", left="1", right="0")


@pytest.mark.parametrize("pair", ["", "0", "0,0", "0,9", "x,y"])
def test_what_is_no_pair_is_the_first_two(alice: Client, comparison: Comparison, pair: str):
    assert "<del>0.</del>" in text(alice, comparison, diff=pair)


def test_a_running_comparison_asks_again_until_it_is_done(alice: Client, comparison: Comparison):
    Comparison.objects.update(status="running")
    comparison.answers.update(status="running", content="")
    page = text(alice, comparison)
    assert page.count('hx-trigger="every 1s"') == 2
    assert "Votes are open as soon as the answers are there" in page

    Comparison.objects.update(status="complete")
    comparison.answers.update(status="ok", content="Here.")
    part = text_of(alice.get(address(comparison), headers={**HTMX, "HX-Target": "answers"}))
    assert "every 1s" not in part
    assert "<html" not in part
    assert 'id="facts"' in part, "its status changes with it"
    assert 'value="tie"' in text_of(alice.get(address(comparison, "/review"), headers=HTMX))


def test_a_rerun_and_its_origin_lead_to_each_other(cast: Cast, alice: Client, comparison: Comparison):
    rerun = make_comparison(cast.alice.user, "d/four", "e/five", successor_of=comparison, title="again")
    assert f'<a href="{address(rerun)}">again</a>' in text(alice, comparison)
    assert f'Re-run of <a href="{address(comparison)}">' in text(alice, rerun)


def test_older_and_newer_follow_the_filters(cast: Cast, alice: Client):
    rows = [
        make_comparison(cast.alice.user, "a/one", "b/two", id=f"cmp_{n:032x}", tags=("x",) if n != 1 else ())
        for n in range(3)
    ]
    page = text(alice, rows[2])
    assert f'data-key="j" href="{address(rows[1])}"' in page
    filtered = text(alice, rows[2], tag="x")
    assert f'data-key="j" href="{address(rows[0])}?tag=x"' in filtered
    assert 'data-key="k"' not in filtered


# Votes ------------------------------------------------------------------------------------------------------------


def vote(client: Client, comparison: Comparison, winner: str, **more: Any) -> Any:
    return client.post(address(comparison, "/vote"), {"winner": winner, **more})


def test_a_vote_leads_back_and_is_shown(alice: Client, comparison: Comparison):
    assert vote(alice, comparison, "1", note="clearer")["Location"] == address(comparison)
    cast_vote = comparison.votes.get()
    assert (cast_vote.winner, cast_vote.voter_name, cast_vote.note, cast_vote.blind) == (1, "alice", "clearer", False)
    page = text(alice, comparison)
    assert "Your vote" in page
    assert "clearer" in page
    assert 'value="1" data-key="2" aria-pressed="true"' in page


def test_a_tie_all_bad_and_second_thoughts(alice: Client, comparison: Comparison):
    for winner in ("tie", "all_bad"):
        vote(alice, comparison, winner)
        assert comparison.votes.get().verdict == winner
    vote(alice, comparison, "withdraw")
    assert not comparison.votes.exists()


@pytest.mark.parametrize("winner", ["2", "7", "", "slot", "99", "²"])
def test_a_vote_for_what_did_not_answer_is_refused(alice: Client, comparison: Comparison, winner: str):
    refused = vote(alice, comparison, winner)
    assert refused.status_code == 400
    assert "Vote for" in text_of(refused)
    assert not comparison.votes.exists()


def test_with_htmx_the_part_alone_comes_back(alice: Client, comparison: Comparison):
    part = text_of(alice.post(address(comparison, "/vote"), {"winner": "0"}, headers=HTMX))
    assert part.startswith('<div id="review"') or '<div id="review"' in part[:80]
    assert 'data-announce="You voted: A."' in part
    refused = alice.post(address(comparison, "/vote"), {"winner": "2"}, headers=HTMX)
    assert refused.status_code == 200, "htmx shows only what succeeds"
    assert 'role="alert"' in text_of(refused)


# Notes, tags, title -----------------------------------------------------------------------------------------------


def test_a_note_is_kept_with_its_author(alice: Client, comparison: Comparison):
    alice.post(address(comparison, "/notes"), {"text": "Both are wrong.\nSee the docs."})
    assert comparison.notes.get().author_name == "alice"
    assert "Both are wrong.\nSee the docs." in text(alice, comparison)


def test_a_refused_note_is_not_lost(alice: Client, comparison: Comparison):
    part = alice.post(address(comparison, "/notes"), {"text": "x" * 10_001}, headers=HTMX)
    assert "Shorten the note" in text_of(part)
    assert "x" * 10_001 in text_of(part)


def test_tags_come_and_go(alice: Client, comparison: Comparison):
    alice.post(address(comparison, "/tags"), {"add": " a  b , , math,c\0"})
    assert [tag.name for tag in comparison.tags.all()] == ["a b", "c", "math"]
    alice.post(address(comparison, "/tags"), {"remove": "math"})
    assert [tag.name for tag in comparison.tags.all()] == ["a b", "c"]


@pytest.mark.parametrize(
    ("tags", "advice"), [("x" * 65, "Shorten the tag"), (",".join(map(str, range(11))), "up to 10 tags")]
)
def test_too_long_and_too_many_tags_are_refused(alice: Client, comparison: Comparison, tags: str, advice: str):
    refused = alice.post(address(comparison, "/tags"), {"add": tags})
    assert refused.status_code == 400
    assert advice in text_of(refused)
    assert comparison.tags.count() == 1


def test_a_title_is_one_line(alice: Client, comparison: Comparison):
    alice.post(address(comparison, "/title"), {"title": " New\n title " + "x" * 300})
    comparison.refresh_from_db()
    assert comparison.title == ("New title " + "x" * 300)[:200]
    alice.post(address(comparison, "/title"), {"title": ""})
    assert "<h1>Why is the sky blue?</h1>" in text(alice, comparison)


# Borders ----------------------------------------------------------------------------------------------------------

POSTS = {"/vote": {"winner": "0"}, "/notes": {"text": "hello"}, "/tags": {"add": "x"}, "/title": {"title": "x"}}


@pytest.mark.parametrize("part", ["", "/review", *POSTS])
def test_another_tenants_comparison_does_not_exist(cast: Cast, comparison: Comparison, part: str):
    before = json.dumps(list(Comparison.objects.values("title", "tags__name", "votes", "notes")))
    charlie = signed_in(cast.charlie.user)
    send = charlie.post if part in POSTS else charlie.get
    assert send(address(comparison, part), POSTS.get(part)).status_code == 404
    assert charlie.get("/comparisons/cmp_unheard_of").status_code == 404
    assert json.dumps(list(Comparison.objects.values("title", "tags__name", "votes", "notes"))) == before


@pytest.mark.parametrize("part", ["", "/review", *POSTS])
def test_without_a_session_or_a_tenant_there_is_nothing(comparison: Comparison, part: str):
    for client, status in ((Client(), 302), (signed_in(make_operator()), 403)):
        send = client.post if part in POSTS else client.get
        assert send(address(comparison, part), POSTS.get(part)).status_code == status
    assert not comparison.votes.exists()


@pytest.mark.parametrize("part", POSTS)
def test_a_link_or_another_sites_form_changes_nothing(cast: Cast, alice: Client, comparison: Comparison, part: str):
    assert alice.get(address(comparison, part), POSTS[part]).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.alice.user)
    assert strict.post(address(comparison, part), POSTS[part]).status_code == 403


@pytest.mark.parametrize(
    "path", ["/comparisons/%00", "/comparisons/%00/review", "/comparisons/review/%00/", "/playground/?from=%00"]
)
def test_an_address_that_no_database_can_hold_finds_nothing(alice: Client, path: str):
    assert alice.get(path).status_code == 404


def test_a_tag_that_no_database_can_hold_removes_nothing(alice: Client, comparison: Comparison):
    assert alice.post(address(comparison, "/tags"), {"remove": "\0"}).status_code == 302
    assert [tag.name for tag in comparison.tags.all()] == ["math"]

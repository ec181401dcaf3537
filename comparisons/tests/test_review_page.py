"""Blind review: what a reviewer sees before and after the vote."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.redis import sync_client
from accounts.tests.admin_pages import signed_in, text_of
from comparisons.models import BlindReview, Comparison, Note, Vote
from comparisons.recording import entry
from comparisons.recording.journal import FIELD, STREAM
from comparisons.reviews import ReviewQueue
from comparisons.tests.rows import make_comparison
from conftest import Cast

REVIEW = "/comparisons/review/"
MODELS = ("acme-lab/alpha-9", "beta-works/bravo-7", "gamma-inc/charlie-5")


@pytest.fixture
def bob(cast: Cast) -> Client:
    return signed_in(cast.bob.user)


def ids(count: int, author: User, first: int = 0) -> list[str]:
    """So many comparisons, the newest first."""
    made = [make_comparison(author, *MODELS, id=f"cmp_{first + number:032x}") for number in range(count)]
    return [comparison.pk for comparison in reversed(made)]


def at(comparison: Comparison | str) -> str:
    return f"{REVIEW}{comparison if isinstance(comparison, str) else comparison.pk}/"


def opened(client: Client, address: str = REVIEW, **query: str) -> Any:
    return client.get(address, query, follow=True)


def shown_order(comparison: Comparison, response: Any) -> list[int]:
    """The slots from left to right, told by their texts."""
    return [int(slot) for slot in re.findall(r"Because of answer number (\d)", text_of(response))]


@pytest.mark.parametrize("most_counted", [100, 1], ids=["few", "many"])
def test_the_queue_begins_with_what_others_asked_most_lately(
    cast: Cast, bob: Client, monkeypatch: pytest.MonkeyPatch, most_counted: int
):
    monkeypatch.setattr("comparisons.reviews.MOST_COUNTED", most_counted)
    [newer, older] = ids(2, cast.alice.user)
    [own] = ids(1, cast.bob.user, first=9)
    queue = ReviewQueue(cast.bob.user)
    assert queue.first() == newer
    assert opened(bob).redirect_chain == [(at(newer), 302)]
    turns = [queue.turn(Comparison.objects.get(pk=pk)) for pk in (newer, older, own)]
    assert [turn.following for turn in turns] == [older, own, newer]
    assert [turn.previous for turn in turns] == [own, newer, older]
    assert "3 left" in text_of(opened(bob)) or most_counted == 1


@pytest.mark.parametrize("most_counted", [100, 1], ids=["few", "many"])
def test_after_a_vote_the_way_goes_on_from_there(cast: Cast, monkeypatch: pytest.MonkeyPatch, most_counted: int):
    monkeypatch.setattr("comparisons.reviews.MOST_COUNTED", most_counted)
    pks = ids(3, cast.alice.user)
    voted = Comparison.objects.get(pk=pks[1])
    Vote.objects.cast(voted, cast.bob.user, "tie")
    turn = ReviewQueue(cast.bob.user).turn(voted)
    assert (turn.left, turn.following, turn.previous) == (2, pks[2], pks[0])


def test_a_queue_of_one_leads_nowhere_else(cast: Cast):
    [only] = ids(1, cast.alice.user)
    turn = ReviewQueue(cast.bob.user).turn(Comparison.objects.get(pk=only))
    assert (turn.left, turn.following, turn.previous) == (1, None, None)


def test_only_finished_comparisons_with_two_answers_wait(cast: Cast):
    make_comparison(cast.alice.user, *MODELS, status="running")
    make_comparison(cast.alice.user, *MODELS, failed=(0, 1))
    make_comparison(cast.alice.user, *MODELS, failed=(0, 1, 2))
    partial = make_comparison(cast.alice.user, *MODELS, failed=(1,))
    interrupted = make_comparison(cast.alice.user, *MODELS, failed=(1,), status="interrupted")
    assert set(ReviewQueue(cast.bob.user).waiting) == {partial, interrupted}


def secrets_of(comparison: Comparison) -> list[str]:
    """What could tell the models apart: names, labels, and figures that are each one model's own."""
    found = ["alpha", "bravo", "charlie-5", "acme-lab", "beta-works", "gamma-inc", "a secret title", "a-secret-tag"]
    for answer in comparison.answers.all():
        found += [f"label-of-{answer.slot}", str(answer.latency_ms), str(answer.cost_microusd), answer.request_id]
    return [*found, "a telling note", "a telling reason", "req_", "1.61 s", "$0.0"]


@pytest.fixture
def telling(cast: Cast) -> Comparison:
    """A comparison of which everything but the texts of its answers says who is who."""
    comparison = make_comparison(cast.alice.user, *MODELS, title="a secret title", tags=("a-secret-tag",))
    for answer in comparison.answers.all():
        answer.label, answer.request_id = f"label-of-{answer.slot}", f"req_{answer.slot}f00d"
        answer.latency_ms, answer.cost_microusd = 61_611 + answer.slot, 71_717 + answer.slot
        answer.params = {"seed": f"label-of-{answer.slot}"}
        answer.response = {"model": answer.requested_model, "system_fingerprint": "acme-lab"}
        answer.save()
    Note.objects.write(comparison, cast.alice.user, "a telling note")
    Vote.objects.cast(comparison, cast.alice.user, "slot", 0, note="a telling reason")
    return comparison


def everything(response: Any) -> str:
    """The page as it was sent: body, headers, cookies, address."""
    headers = "\n".join(f"{name}: {value}" for name, value in response.items())
    return f"{response.request['PATH_INFO']}\n{headers}\n{response.cookies}\n{text_of(response)}"


def test_nothing_that_is_sent_before_the_vote_tells_the_names(cast: Cast, bob: Client, telling: Comparison):
    found = everything(opened(bob, tag=""))
    # The choice of tags is the tenant's, not this comparison's.
    found = re.sub(r'<select id="tag".*?</select>', "", found, flags=re.DOTALL)
    assert [word for word in secrets_of(telling) if word in found] == []
    assert 'value="2"' in found
    assert "Answer C" in found


def test_a_refused_vote_tells_nothing_either(bob: Client, telling: Comparison):
    refused = bob.post(at(telling), {"winner": "best", "note": "so far"})
    assert refused.status_code == 400
    found = re.sub(r'<select id="tag".*?</select>', "", everything(refused), flags=re.DOTALL)
    assert [word for word in secrets_of(telling) if word in found] == []
    assert "so far" in found
    assert not telling.votes.filter(voter_name="bob").exists()


def test_function_calls_are_shown_without_the_ids_that_tell_providers_apart(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *MODELS)
    call = {"id": "toolu_01", "type": "function", "function": {"name": "look_up", "arguments": '{"q": "sky"}'}}
    response = {"model": "acme-lab/alpha-9", "choices": [{"message": {"tool_calls": [call]}}]}
    comparison.answers.filter(slot=0).update(content="", response=response)
    text = text_of(opened(bob))
    assert "look_up({&quot;q&quot;: &quot;sky&quot;})" in text
    assert "toolu_01" not in text


def test_the_order_is_stored_before_it_is_shown_and_stays(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *(f"lab/model-{number}" for number in range(8)))
    first = shown_order(comparison, opened(bob))
    assert first == BlindReview.objects.get(reviewer=cast.bob.user).order
    assert shown_order(comparison, opened(bob, at(comparison))) == first


def test_the_vote_is_for_the_answer_at_that_place(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *(f"lab/model-{number}" for number in range(8)), failed=(3,))
    order = shown_order(comparison, opened(bob))
    assert sorted(order) == [0, 1, 2, 4, 5, 6, 7]
    bob.post(at(comparison), {"winner": "5", "note": "Clearer."})
    vote = comparison.votes.get()
    assert (vote.verdict, vote.winner, vote.blind, vote.order, vote.note) == ("slot", order[5], True, order, "Clearer.")


@pytest.mark.parametrize(("winner", "said"), [("tie", "You said it is a tie."), ("all_bad", "You found all bad.")])
def test_a_vote_without_a_winner(cast: Cast, bob: Client, winner: str, said: str):
    comparison = make_comparison(cast.alice.user, *MODELS)
    assert said in text_of(bob.post(at(comparison), {"winner": winner}, follow=True))
    assert comparison.votes.get().verdict == winner


@pytest.mark.parametrize("winner", ["", "3", "9", "-1", "00", "²", "slot", "alpha"])
def test_what_is_no_place_is_no_vote(cast: Cast, bob: Client, winner: str):
    comparison = make_comparison(cast.alice.user, *MODELS)
    response = bob.post(at(comparison), {"winner": winner})
    assert response.status_code == 400
    assert not comparison.votes.exists()


def test_the_names_are_shown_after_the_vote_in_the_same_order(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *MODELS)
    order = shown_order(comparison, opened(bob))
    revealed = bob.post(at(comparison), {"winner": "0"}, follow=True)
    assert revealed.redirect_chain == [(at(comparison), 302)]
    text = text_of(revealed)
    assert re.findall(r'<h2 [^>]*title="([^"]*)"', text) == [MODELS[slot] for slot in order]
    assert f"You chose <strong>A: {MODELS[order[0]]}</strong>" in text
    assert f'href="/comparisons/{comparison.pk}"' in text


def test_a_second_vote_would_not_be_blind_and_changes_nothing(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *MODELS)
    bob.post(at(comparison), {"winner": "tie"})
    bob.post(at(comparison), {"winner": "0"})
    assert comparison.votes.get().verdict == "tie"


def test_what_somebody_voted_on_leaves_their_queue_alone(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *MODELS)
    bob.post(at(comparison), {"winner": "tie"})
    assert "Nothing left to review" in text_of(opened(bob))
    assert ReviewQueue(cast.alice.user).first() == comparison.pk


def test_after_the_vote_the_way_leads_on(cast: Cast, bob: Client):
    [newer, older] = ids(2, cast.alice.user)
    text = text_of(bob.post(at(newer), {"winner": "tie"}, follow=True))
    assert re.search(rf'data-key="j" href="{at(older)}"', text)
    text = text_of(bob.post(at(older), {"winner": "tie"}, follow=True))
    assert 'data-key="j" href="/comparisons/leaderboard/"' in text


def test_the_tag_stays_on_the_way(cast: Cast, bob: Client):
    make_comparison(cast.alice.user, *MODELS)
    tagged = [make_comparison(cast.alice.user, *MODELS, tags=("a&b",)) for _ in range(2)]
    assert opened(bob, tag="a&b").redirect_chain[0][0].endswith("/?tag=a%26b")
    queue = ReviewQueue(cast.bob.user, "a&b")
    assert len(queue.waiting) == 2
    voted = bob.post(f"{at(tagged[0])}?tag=a%26b", {"winner": "tie"}, follow=True)
    assert f'href="{at(tagged[1])}?tag=a%26b"' in text_of(voted)
    assert "Nothing left with the tag sky" in text_of(opened(bob, tag="sky"))


def test_counting_what_is_left_has_an_end(cast: Cast, bob: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("comparisons.reviews.MOST_COUNTED", 1)
    monkeypatch.setattr("comparisons.pages.review.MOST_COUNTED", 1)
    ids(3, cast.alice.user)
    assert "More than 1 left" in text_of(opened(bob))


def test_what_has_just_ended_is_ready_before_any_worker_came_by(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *MODELS)
    sync_client().xadd(STREAM, {FIELD: entry.ended(comparison)})
    Comparison.objects.update(status="running")
    assert "Which is best?" in text_of(bob.get(at(comparison)))


def test_what_is_not_ready_leads_back_to_the_queue(cast: Cast, bob: Client):
    running = make_comparison(cast.alice.user, *MODELS, status="running")
    assert bob.get(at(running))["Location"] == REVIEW
    assert bob.post(at(running), {"winner": "0"})["Location"] == REVIEW
    assert not Vote.objects.exists()
    assert not BlindReview.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_another_tenants_comparison_is_not_there(cast: Cast, bob: Client, method: str):
    foreign = make_comparison(cast.charlie.user, *MODELS, tags=("globex-tag",))
    assert getattr(bob, method)(at(foreign), {"winner": "0"}).status_code == 404
    assert "Nothing left" in text_of(opened(bob))
    assert "globex-tag" not in text_of(opened(bob))
    assert not Vote.objects.exists()
    assert not BlindReview.objects.exists()


def test_nobody_else_sees_the_page(cast: Cast):
    comparison = make_comparison(cast.alice.user, *MODELS)
    for address in (REVIEW, at(comparison)):
        assert Client().get(address)["Location"].startswith("/sign-in/")
        assert signed_in(User.objects.create_user(address)).get(address).status_code == 403


def test_a_form_of_another_site_cannot_vote(cast: Cast):
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.bob.user)
    assert client.post(at(make_comparison(cast.alice.user, *MODELS)), {"winner": "0"}).status_code == 403


def test_what_models_write_does_nothing(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *MODELS, prompt="<img src=x onerror=alert(1)>")
    comparison.answers.update(
        content="<script>alert(1)</script> [x](javascript:alert(1)) ![y](https://evil.example/y.png)"
    )
    text = text_of(opened(bob))
    assert "<script>alert" not in text
    assert "<img" not in text
    assert 'href="javascript' not in text


def test_the_page_of_a_comparison_leads_to_its_blind_review(cast: Cast, bob: Client):
    comparison = make_comparison(cast.alice.user, *MODELS)
    way = f'data-key="b" href="{at(comparison)}"'
    assert way in text_of(bob.get(f"/comparisons/{comparison.pk}"))
    Vote.objects.cast(comparison, cast.bob.user, "tie")
    assert way not in text_of(bob.get(f"/comparisons/{comparison.pk}")), "it is too late to be blind"

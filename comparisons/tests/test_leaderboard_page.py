"""The leaderboard, as somebody sees it who looks at their tenant's."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.models import User
from accounts.tests.admin_pages import signed_in, text_of
from comparisons.leaderboard import board as boards, shelf
from comparisons.leaderboard.board import Board, Row
from comparisons.leaderboard.plot import draw
from comparisons.leaderboard.scope import Scope
from comparisons.models import Answer, Comparison, ComparisonTag, Vote
from comparisons.tests.rows import make_comparison
from conftest import Cast

LEADERBOARD = "/comparisons/leaderboard/"


@pytest.fixture
def alice(cast: Cast) -> Client:
    return signed_in(cast.alice.user)


def vote(voter: User, *models: str, winner: int | None = 0, times: int = 1, blind: bool = False, **fields: Any) -> None:
    """So many comparisons of these models, on each of which somebody voted for a slot, or for a tie (None)."""
    verdict = "tie" if winner is None else "slot"
    for _ in range(times):
        comparison = make_comparison(voter, *models, **fields)
        Vote.objects.cast(comparison, voter, verdict, winner, blind=blind)


def board(cast: Cast, **scope: str) -> Board:
    return boards.count(Scope(cast.acme.pk, **scope))


def row(found: Board, model: str) -> Row:
    [only] = [row for group in [*found.groups, found.unrated] for row in group if row.model == model]
    return only


def remarks(text: str) -> list[str]:
    """What stands under the names of models."""
    return re.findall(r'<span class="remark">([^<]*)</span>', text)


def test_before_the_first_vote_the_page_says_what_to_do(cast: Cast, alice: Client):
    text = text_of(alice.get(LEADERBOARD))
    assert "No votes yet" in text
    assert 'href="/playground/"' in text


def test_the_page_shows_rating_interval_votes_and_what_answers_take(cast: Cast, alice: Client):
    vote(cast.alice.user, "a/one", "b/two", times=75)
    vote(cast.alice.user, "a/one", "b/two", winner=1, times=25)
    text = text_of(alice.get(LEADERBOARD))
    assert "100 votes on 100 comparisons" in text
    # Three wins in four: 400 log10(3) = 191 points apart.
    assert re.findall(r'<td class="number strong">(\d+)</td>', text) == ["1095", "905"]
    cells = re.findall(r'<td class="number">([^<]*)</td>', text)
    assert cells[:7] == ["100", "75 %", "0 %", "0 %", "1.20 s", "$0.001", "0 %"]
    assert cells[7:] == ["100", "25 %", "0 %", "0 %", "1.30 s", "$0.002", "0 %"]
    assert remarks(text) == []


def test_ranks_count_the_models_that_are_surely_better(cast: Cast):
    vote(cast.alice.user, "a/one", "c/three", times=40)
    vote(cast.alice.user, "b/two", "c/three", times=40)
    vote(cast.alice.user, "a/one", "b/two", times=16)
    vote(cast.alice.user, "a/one", "b/two", winner=1, times=14)
    [group] = board(cast).groups
    assert [(row.model, row.rank) for row in group] == [("a/one", 1), ("b/two", 1), ("c/three", 3)]
    assert [row.is_preliminary for row in group] == [True, True, True]
    assert group[2].one_sided


def test_there_is_no_rank_below_30_votes(cast: Cast, alice: Client):
    vote(cast.alice.user, "a/one", "b/two", winner=None, times=29)
    found = board(cast)
    assert {row.rank for group in found.groups for row in group} == {None}
    assert remarks(text_of(alice.get(LEADERBOARD))) == ["1 more vote for a rank"] * 2
    vote(cast.alice.user, "a/one", "b/two", winner=None)
    assert {row.rank for group in board(cast).groups for row in group} == {1}
    assert remarks(text_of(alice.get(LEADERBOARD))) == ["preliminary", "preliminary"]


def test_models_without_a_common_vote_are_rated_apart(cast: Cast, alice: Client):
    vote(cast.alice.user, "a/one", "b/two", winner=None, times=3)
    vote(cast.alice.user, "c/three", "d/four", winner=None)
    make_comparison(cast.alice.user, "e/five", "e/five")
    found = board(cast)
    assert [[row.model for row in group] for group in found.groups] == [["a/one", "b/two"], ["c/three", "d/four"]]
    assert [row.model for row in found.unrated] == ["e/five"]
    text = text_of(alice.get(LEADERBOARD))
    assert "Rated apart" in text
    assert "Not rated" in text


def test_all_bad_has_a_rate_of_its_own(cast: Cast):
    vote(cast.alice.user, "a/one", "b/two", times=3)
    Vote.objects.cast(make_comparison(cast.alice.user, "a/one", "b/two"), cast.bob.user, "all_bad")
    one = row(board(cast), "a/one")
    assert (one.votes, one.win_rate, one.all_bad_rate) == (3, 1.0, 0.25)


def test_a_failed_answer_counts_as_failed_and_in_no_vote(cast: Cast):
    vote(cast.alice.user, "a/one", "b/two", "c/three", failed=(2,), times=3)
    found = board(cast)
    assert [row.model for row in found.unrated] == ["c/three"]
    assert (row(found, "c/three").failure_rate, row(found, "a/one").failure_rate) == (1.0, 0.0)
    assert row(found, "c/three").cost_microusd is None


def test_the_model_that_answered_gets_the_vote(cast: Cast):
    comparison = make_comparison(cast.alice.user, "default", "b/two")
    Answer.objects.filter(comparison=comparison, slot=0).update(resolved_model="a/one")
    Vote.objects.cast(comparison, cast.bob.user, "slot", 0)
    assert row(board(cast), "a/one").win_rate == 1.0


def test_times_are_medians_and_costs_means(cast: Cast):
    for latency_ms, cost in ((100, 10), (200, 20), (5000, 60)):
        comparison = make_comparison(cast.alice.user, "a/one", "b/two")
        comparison.answers.filter(slot=0).update(latency_ms=latency_ms, cost_microusd=cost)
    one = row(board(cast), "a/one")
    assert (one.answers, one.median_ms, one.cost_microusd) == (3, 200, 30)


@pytest.mark.parametrize(
    ("scope", "votes"),
    [
        ({}, 10),
        ({"tag": "math"}, 2),
        ({"period": "30"}, 7),
        ({"votes": "blind"}, 4),
        ({"tag": "math", "votes": "blind"}, 0),
    ],
)
def test_tag_period_and_blindness_narrow_what_is_counted(cast: Cast, alice: Client, scope: dict[str, str], votes: int):
    old = timezone.now() - timedelta(days=31)
    vote(cast.alice.user, "a/one", "b/two", tags=("math",), times=2)
    vote(cast.alice.user, "a/one", "b/two", created_at=old, times=3)
    vote(cast.alice.user, "a/one", "b/two", times=1)
    vote(cast.alice.user, "a/one", "b/two", blind=True, times=4)
    assert board(cast, **scope).votes == votes
    text = text_of(alice.get(LEADERBOARD, scope))
    assert (f"{votes} vote" if votes else "No votes here") in text


def test_the_choice_of_tags_has_each_of_the_tenants_once_and_in_order(cast: Cast, alice: Client):
    make_comparison(cast.charlie.user, "a/one", "b/two", tags=("globex",))
    assert ComparisonTag.objects.names(cast.acme.pk) == []
    for tags in (("math", "b&w"), ("math",), ("code", "math")):
        make_comparison(cast.alice.user, "a/one", "b/two", tags=tags)
    assert ComparisonTag.objects.names(cast.acme.pk) == ["b&w", "code", "math"]
    assert ComparisonTag.objects.names(None) == []
    assert re.findall(r"<option>([^<]*)</option>", text_of(alice.get(LEADERBOARD))) == ["b&amp;w", "code", "math"]


def test_nonsense_in_the_address_is_left_out(cast: Cast, alice: Client):
    vote(cast.alice.user, "a/one", "b/two")
    text = text_of(alice.get(LEADERBOARD, {"period": "-1 OR 1", "votes": "all", "tag": "\0"}))
    assert "1 vote on 1 comparison" in text


def test_another_tenants_votes_do_not_count(cast: Cast, alice: Client):
    vote(cast.charlie.user, "globex/model", "b/two", tags=("secret",), times=3)
    text = text_of(alice.get(LEADERBOARD))
    assert "globex" not in text
    assert "secret" not in text
    assert "No votes yet" in text
    assert "No votes here" in text_of(alice.get(LEADERBOARD, {"tag": "secret"}))


def test_names_are_escaped(cast: Cast, alice: Client):
    vote(cast.alice.user, "<script>alert(1)</script>", "b/two", tags=("<b>",), times=2)
    text = text_of(alice.get(LEADERBOARD))
    assert "<script>alert" not in text
    assert "<b>" not in text


def test_the_filters_change_the_board_alone(cast: Cast, alice: Client):
    vote(cast.alice.user, "a/one", "b/two")
    part = text_of(alice.get(LEADERBOARD, headers={"HX-Request": "true", "HX-Target": "board"}))
    assert part.lstrip().startswith('<section id="board"')
    assert "<html" not in part


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenant has more comparisons than a page waits for."""
    monkeypatch.setattr(shelf, "SMALL", 0)
    cache.clear()


def test_a_large_board_is_counted_behind_the_page(cast: Cast, alice: Client, large: None):
    vote(cast.alice.user, "a/one", "b/two")
    first = text_of(alice.get(LEADERBOARD))
    assert "Counting the votes" in first
    assert 'hx-get="?count=1"' in first
    assert "1 vote on 1 comparison." in text_of(alice.get(LEADERBOARD, {"count": "1"}))
    again = text_of(alice.get(LEADERBOARD))
    assert "1 vote on 1 comparison." in again
    assert 'hx-trigger="load' not in again


def test_an_old_count_is_shown_while_it_is_counted_again(cast: Cast, alice: Client, large: None, monkeypatch):
    vote(cast.alice.user, "a/one", "b/two", times=2)
    alice.get(LEADERBOARD, {"count": "1"})
    vote(cast.alice.user, "a/one", "b/two")
    monkeypatch.setattr(shelf, "FRESH", timedelta(0))
    shown = text_of(alice.get(LEADERBOARD))
    assert "2 votes on 2 comparisons" in shown
    assert "Counting again" in shown


def test_only_one_counts_at_a_time(cast: Cast, large: None):
    scope = Scope(cast.acme.pk)
    assert shelf.count_again(scope) is not None
    assert shelf.count_again(scope) is None


def test_without_a_cache_the_board_is_counted_all_the_same(cast: Cast, alice: Client, large: None, monkeypatch):
    def away(*arguments: Any) -> None:
        raise RedisConnectionError("Redis is away")

    vote(cast.alice.user, "a/one", "b/two")
    for name in ("get", "set", "add"):
        monkeypatch.setattr(cache, name, away)
    assert "1 vote on 1 comparison." in text_of(alice.get(LEADERBOARD, {"count": "1"}))


def test_a_kept_board_is_the_same_board(cast: Cast):
    vote(cast.alice.user, "a/one", "b/two", "c/three", failed=(2,), times=3)
    found = board(cast)
    assert Board.load(found.dump()) == found


def shown(model: str, rating: float, cost: float | None) -> Row:
    return Row(model, rating=rating, lower=rating - 20, upper=rating + 20, cost_microusd=cost)


def test_the_plot_marks_the_models_that_are_best_for_their_price():
    rows = [shown("best", 1200, 9000), shown("dear", 1100, 9500), shown("cheap", 900, 100), shown("middle", 1000, 2000)]
    plot = draw(rows)
    assert plot is not None
    assert {point.row.model for point in plot.points if point.is_best} == {"best", "cheap", "middle"}
    by_model = {point.row.model: point for point in plot.points}
    assert by_model["cheap"].x < by_model["middle"].x < by_model["best"].x
    assert by_model["best"].y < by_model["middle"].y < by_model["cheap"].y, "up is better"
    assert plot.is_logarithmic


@pytest.mark.parametrize("costs", [(0, 5000), (1, 1_000_000), (300, 300), (1, 2)])
def test_every_point_and_every_name_is_inside_the_plot(costs: tuple[float, float]):
    plot = draw([shown(f"provider/model-{number}", 1000 + number, costs[number % 2]) for number in range(12)])
    assert plot is not None
    for point in plot.points:
        assert plot.left <= point.x <= plot.right
        assert plot.top <= point.top <= point.y <= point.bottom <= plot.bottom
        assert 0 < point.label_y < plot.height
    assert 2 <= len(plot.up) <= 12
    assert len({tick.text for tick in plot.across}) == len(plot.across)


def test_one_model_is_no_plot():
    assert draw([shown("alone", 1000, 10)]) is None
    assert draw([shown("a", 1000, None), shown("b", 1000, 10)]) is None


def test_models_that_are_all_free_are_no_plot():
    assert draw([shown("a", 1000, 0), shown("b", 1100, 0)]) is None


def test_nobody_else_sees_the_page(cast: Cast):
    assert Client().get(LEADERBOARD)["Location"].startswith("/sign-in/")
    assert signed_in(User.objects.create_user("nobody")).get(LEADERBOARD).status_code == 403


def test_the_address_works_without_its_slash(alice: Client):
    assert alice.get("/comparisons/leaderboard?tag=x")["Location"] == "/comparisons/leaderboard/?tag=x"


def test_a_comparison_that_expires_takes_its_votes_along(cast: Cast):
    vote(cast.alice.user, "a/one", "b/two", times=2)
    Comparison.objects.first().delete()  # type: ignore[union-attr]  # there are two
    assert board(cast).votes == 1

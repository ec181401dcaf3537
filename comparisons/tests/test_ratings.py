"""Ratings against a published library, under every rearrangement that must not matter, and against known truths."""

import math
import random
from collections.abc import Sequence

import evalica
import pytest
from hypothesis import given, settings, strategies as st

from comparisons.leaderboard.ballots import Ballots, Choice, records
from comparisons.leaderboard.ratings import POINTS, Rating, rate

MODELS = [f"model-{number}" for number in range(6)]


def pair(model: str, other: str, *votes: Choice, count: int = 1) -> Ballots:
    return Ballots({0: model, 1: other}, votes, count)


# Each model ties once with the next, so that all are connected and the likelihood has a maximum.
RING = [pair(model, MODELS[number - 1], "tie") for number, model in enumerate(MODELS)]


def slots(models: Sequence[str]) -> dict[int, str]:
    return dict(enumerate(models))


@st.composite
def ballots(draw: st.DrawFn, most_slots: int = 5) -> Ballots:
    models = draw(st.lists(st.sampled_from(MODELS), min_size=2, max_size=most_slots))
    choice: st.SearchStrategy[Choice] = st.one_of(st.integers(0, len(models) - 1), st.sampled_from(["tie", "all_bad"]))
    votes: list[Choice] = draw(st.lists(choice, min_size=1, max_size=4))
    return Ballots(slots(models), votes, draw(st.integers(1, 20)))


def by_model(groups: list[list[Rating]]) -> dict[str, Rating]:
    return {rating.model: rating for group in groups for rating in group}


def same(left: list[list[Rating]], right: list[list[Rating]]) -> bool:
    first, second = by_model(left), by_model(right)
    return first.keys() == second.keys() and all(
        (first[model].rating, first[model].lower, first[model].upper)
        == pytest.approx((second[model].rating, second[model].lower, second[model].upper), abs=1e-4)
        for model in first
    )


def as_evalica_sees_it(votes: Sequence[Ballots]) -> dict[str, float]:
    """Strengths in points, up to a constant, from single games."""
    games = [(model, other, won * alike.count) for alike in votes for model, other, won in alike.outcomes()]
    models, others, wins = zip(*games, strict=True)
    result = evalica.bradley_terry(
        models, others, [evalica.Winner.X] * len(games), weights=list(wins), tolerance=1e-13, limit=100_000
    )
    return {str(model): POINTS * math.log(score) for model, score in result.scores.items()}


@given(st.lists(ballots(), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_ratings_are_those_of_evalica(votes: list[Ballots]):
    votes = [*votes, *RING]
    [group] = rate(votes)
    expected = as_evalica_sees_it(votes)
    assert {rating.model for rating in group} == expected.keys()
    for rating in group[1:]:
        difference = expected[rating.model] - expected[group[0].model]
        assert rating.rating - group[0].rating == pytest.approx(difference, abs=0.01)
    assert not any(rating.one_sided for rating in group)


def test_the_ratings_of_many_random_votes_are_those_of_evalica():
    dice = random.Random(7)
    votes = [Ballots(slots(dice.sample(MODELS, 2)), [dice.choice([0, 0, 1, "tie"])]) for _ in range(3000)]
    [group] = rate(votes)
    expected = as_evalica_sees_it(votes)
    assert [rating.model for rating in group] == sorted(expected, key=lambda model: -expected[model])
    for rating in group:
        difference = expected[rating.model] - expected[group[0].model]
        assert rating.rating - group[0].rating == pytest.approx(difference, abs=1e-3)


@given(st.lists(ballots(), min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_votes_and_comparisons_does_not_matter(votes: list[Ballots], dice: random.Random):
    shuffled = [Ballots(alike.models, dice.sample(alike.votes, len(alike.votes)), alike.count) for alike in votes]
    dice.shuffle(shuffled)
    assert same(rate(votes), rate(shuffled))


@given(st.lists(ballots(), min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_places_of_the_slots_do_not_matter(votes: list[Ballots], dice: random.Random):
    moved = []
    for alike in votes:
        places = dice.sample(range(10), len(alike.models))
        models = {places[slot]: model for slot, model in alike.models.items()}
        choices = [places[vote] if isinstance(vote, int) else vote for vote in alike.votes]
        moved.append(Ballots(models, choices, alike.count))
    assert same(rate(votes), rate(moved))


@given(st.lists(ballots(), min_size=1, max_size=12), st.permutations(MODELS))
@settings(max_examples=40, deadline=None)
def test_other_names_give_the_same_ratings(votes: list[Ballots], names: list[str]):
    renamed_as = dict(zip(MODELS, names, strict=True))
    renamed = [
        Ballots({slot: renamed_as[model] for slot, model in alike.models.items()}, alike.votes, alike.count)
        for alike in votes
    ]
    expected = [
        [Rating(renamed_as[r.model], r.rating, r.lower, r.upper, r.one_sided) for r in group] for group in rate(votes)
    ]
    assert same(expected, rate(renamed))


@given(st.lists(ballots(), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_alike_comparisons_may_be_counted_or_listed(votes: list[Ballots]):
    listed = [Ballots(alike.models, alike.votes) for alike in votes for _ in range(alike.count)]
    assert same(rate(votes), rate(listed))


@given(st.lists(ballots(), max_size=12))
@settings(max_examples=100, deadline=None)
def test_whatever_was_voted_the_numbers_are_sane(votes: list[Ballots]):
    for group in rate(votes):
        assert len(group) > 1
        for rating in group:
            assert math.isfinite(rating.rating)
            assert rating.lower < rating.rating < rating.upper
            assert 0 < rating.upper - rating.lower < 5000


def test_without_votes_there_are_no_ratings():
    assert rate([]) == []
    assert rate([pair("a", "b", "all_bad"), pair("a", "a", 0), pair("a", "b")]) == []


def test_three_wins_in_four_are_odds_of_three_to_one():
    [[better, worse]] = rate([pair("a", "b", 0, count=75), pair("a", "b", 1, count=25)])
    assert (better.model, worse.model) == ("a", "b")
    assert better.rating - worse.rating == pytest.approx(400 * math.log10(3))
    assert (better.rating + worse.rating) / 2 == pytest.approx(1000)


def test_a_tie_is_half_a_win_each_way():
    ties = [pair("a", "b", "tie", count=40), pair("a", "b", 0, count=30)]
    wins = [pair("a", "b", 0, count=50), pair("a", "b", 1, count=20)]
    tied, won = by_model(rate(ties)), by_model(rate(wins))
    assert tied["a"].rating == pytest.approx(won["a"].rating)
    # Ties scatter less than wins and losses do.
    assert tied["a"].upper - tied["a"].lower < won["a"].upper - won["a"].lower


def test_a_vote_among_many_beats_every_other_model_once():
    [group] = rate([Ballots(slots(["a", "b", "c", "a"]), [1]), *(pair(*two, "tie") for two in ("ab", "bc", "ca"))])
    pairs = [pair("b", "a", 0), pair("b", "a", 0), pair("b", "c", 0)]
    [expected] = rate([*pairs, *(pair(*two, "tie") for two in ("ab", "bc", "ca"))])
    assert {r.model: r.rating for r in group} == pytest.approx({r.model: r.rating for r in expected})


def test_all_bad_changes_no_rating():
    votes = [pair("a", "b", 0, count=20), pair("a", "b", 1, count=10)]
    assert same(rate(votes), rate([*votes, pair("a", "b", "all_bad", count=500)]))


def test_models_that_no_vote_connects_are_rated_apart():
    votes = [pair("a", "b", 0, 1, count=9), pair("x", "y", 0, 1, 0), pair("lonely", "lonely", 0)]
    assert [{rating.model for rating in group} for group in rate(votes)] == [{"a", "b"}, {"x", "y"}]


def test_a_model_that_always_wins_is_rated_with_care():
    [[always, *others]] = rate([pair("a", "b", 0, count=30), pair("b", "c", 0, 1, count=30)])
    assert always.model == "a"
    assert always.one_sided
    assert [rating.one_sided for rating in others] == [False, False]
    # An exact interval for 30 wins in 30 (Clopper-Pearson) has its lower end at 88 %, which is 346 points.
    [[winner, loser]] = rate([pair("a", "b", 0, count=30)])
    assert winner.one_sided
    assert loser.one_sided
    low, _high = winner.lower - 1000, winner.upper - 1000
    assert 2 * low == pytest.approx(346, abs=40)
    assert winner.upper - winner.lower == pytest.approx(loser.upper - loser.lower)


def simulated(dice: random.Random, strengths: dict[str, float], per_pair: int, voters: int, alike: float):
    """Comparisons of every two models by several voters, of whom some say what the first one said."""

    def wins(model: str, other: str) -> bool:
        return dice.random() < 1 / (1 + math.exp(strengths[other] - strengths[model]))

    for number, model in enumerate(strengths):
        for other in list(strengths)[:number]:
            for _ in range(per_pair):
                first = wins(model, other)
                rest = [first if dice.random() < alike else wins(model, other) for _ in range(voters - 1)]
                yield pair(model, other, *(0 if won else 1 for won in (first, *rest)))


def coverage(*, clustered: bool) -> float:
    dice = random.Random(20240307)
    strengths = {"a": 0.0, "b": 0.3, "c": 0.6, "d": 1.2}
    mean = sum(strengths.values()) / len(strengths)
    hits, runs = 0, 150
    for _ in range(runs):
        votes = list(simulated(dice, strengths, per_pair=40, voters=3, alike=0.8))
        if not clustered:
            votes = [Ballots(alike.models, [vote]) for alike in votes for vote in alike.votes]
        for rating in by_model(rate(votes)).values():
            hits += rating.lower <= 1000 + POINTS * (strengths[rating.model] - mean) <= rating.upper
    return hits / (runs * len(strengths))


def test_95_of_100_intervals_contain_the_truth_though_voters_of_one_comparison_agree():
    assert 0.925 <= coverage(clustered=True) <= 0.975


def test_intervals_that_take_every_vote_for_independent_would_be_too_narrow():
    assert coverage(clustered=False) < 0.85


def test_the_record_of_a_model_counts_a_vote_once():
    found = records(
        [
            Ballots(slots(["a", "a", "b"]), [0, 1, 2, "tie", "all_bad"], count=2),
            Ballots(slots(["a", "a"]), [0, "tie", "all_bad"]),
        ]
    )
    assert (found["a"].votes, found["a"].wins, found["a"].ties, found["a"].all_bad) == (8, 4, 2, 3)
    assert (found["b"].votes, found["b"].wins, found["b"].ties, found["b"].all_bad) == (8, 2, 2, 2)
    assert (found["a"].win_rate, found["b"].tie_rate, found["b"].all_bad_rate) == (0.5, 0.25, 0.2)

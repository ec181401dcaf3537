import pytest

from accounts.errors import InvalidRequest, NotFound
from accounts.models import User
from comparisons.models import BlindReview, Comparison, Note, Vote
from comparisons.tests.rows import make_comparison
from conftest import Cast


@pytest.fixture
def comparison(cast: Cast) -> Comparison:
    return make_comparison(cast.alice.user, "fake/one", "fake/two", "fake/three", failed=(1,))


def test_a_vote_names_its_winner_and_its_voter(cast: Cast, comparison: Comparison):
    Vote.objects.cast(comparison, cast.bob.user, "slot", 2, note=" clearer ")
    vote = comparison.votes.get()
    assert (vote.voter_name, vote.verdict, vote.winner, vote.note) == ("bob", "slot", 2, "clearer")
    assert (vote.blind, vote.order) == (False, [0, 2])


def test_a_later_vote_replaces_the_first(cast: Cast, comparison: Comparison):
    Vote.objects.cast(comparison, cast.bob.user, "slot", 2, blind=True, order=[2, 0])
    Vote.objects.cast(comparison, cast.bob.user, "tie")
    vote = comparison.votes.get()
    assert (vote.verdict, vote.winner, vote.blind, vote.order) == ("tie", None, False, [0, 2])


def test_everybody_has_a_vote_of_their_own(cast: Cast, comparison: Comparison):
    Vote.objects.cast(comparison, cast.alice.user, "slot", 0)
    Vote.objects.cast(comparison, cast.bob.user, "all_bad")
    assert set(comparison.votes.values_list("voter_name", "verdict")) == {("alice", "slot"), ("bob", "all_bad")}


@pytest.mark.parametrize(
    ("verdict", "winner", "advice"),
    [
        ("slot", 1, "Vote for a slot that answered: 0, 2."),
        ("slot", 3, "Vote for a slot that answered: 0, 2."),
        ("slot", None, "Vote for a slot that answered: 0, 2."),
        ("best", 0, "tie"),
    ],
)
def test_a_vote_for_what_did_not_answer_is_refused(cast: Cast, comparison: Comparison, verdict, winner, advice):
    with pytest.raises(InvalidRequest, match=advice) as refusal:
        Vote.objects.cast(comparison, cast.bob.user, verdict, winner)
    assert refusal.value.param == "winner"
    assert not comparison.votes.exists()


@pytest.mark.parametrize(("status", "failed"), [("running", ()), ("failed", (0, 1))])
def test_without_answers_there_is_nothing_to_vote_on(cast: Cast, status, failed):
    comparison = make_comparison(cast.alice.user, "fake/one", "fake/two", failed=failed, status=status)
    with pytest.raises(InvalidRequest):
        Vote.objects.cast(comparison, cast.bob.user, "tie")


def test_nobody_votes_or_writes_across_the_border_of_a_tenant(cast: Cast, comparison: Comparison):
    nobody = User.objects.create_user("nobody")
    for stranger in (cast.charlie.user, nobody):
        with pytest.raises(NotFound):
            Vote.objects.cast(comparison, stranger, "tie")
        with pytest.raises(NotFound):
            Note.objects.write(comparison, stranger, "hello")


def test_a_note_keeps_its_author_and_its_text(cast: Cast, comparison: Comparison):
    Note.objects.write(comparison, cast.bob.user, " Both are \0wrong. ")
    note = comparison.notes.get()
    assert (note.author_name, note.text) == ("bob", "Both are wrong.")


@pytest.mark.parametrize(("text", "advice"), [(" \0 ", "empty"), ("x" * 10_001, "Shorten the note to 10,000")])
def test_an_empty_or_endless_note_is_refused(cast: Cast, comparison: Comparison, text, advice):
    with pytest.raises(InvalidRequest, match=advice):
        Note.objects.write(comparison, cast.bob.user, text)


def test_a_reviewer_sees_the_same_order_at_every_look(cast: Cast):
    comparison = make_comparison(cast.alice.user, *(f"fake/{number}" for number in range(9)), failed=(4,))
    first = BlindReview.objects.shown_to(cast.bob.user, comparison).order
    assert sorted(first) == [0, 1, 2, 3, 5, 6, 7, 8]
    for _ in range(3):
        assert BlindReview.objects.shown_to(cast.bob.user, comparison).order == first


def test_the_order_is_another_for_every_reviewer_and_comparison(cast: Cast):
    comparisons = [make_comparison(cast.alice.user, *(f"fake/{number}" for number in range(9))) for _ in range(3)]
    orders = {
        tuple(BlindReview.objects.shown_to(member.user, comparison).order)
        for member in (cast.alice, cast.bob)
        for comparison in comparisons
    }
    assert len(orders) > 3  # of six; two alike by chance is possible, three are not

"""What was voted, in the form that the statistics need: alike comparisons once, with their number."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

# The slot that won, or one of the two verdicts without a winner: as the API writes them.
Choice = int | Literal["tie", "all_bad"]


@dataclass(frozen=True, slots=True)
class Ballots:
    """Comparisons in which the same models answered and the same votes were cast."""

    models: Mapping[int, str]
    """By slot, those that answered. A slot that failed takes part in nothing: failures are counted beside the votes."""
    votes: Sequence[Choice]
    count: int = 1
    """How many comparisons are like this."""

    def outcomes(self) -> Iterator[tuple[str, str, float]]:
        """(model, other model, wins of the first over the other), for every pair that one comparison's votes compare.

        A vote for one slot is a win over each other slot, a tie half a win each way for every two slots. Two slots of
        the same model say nothing about it, and a vote that all are bad says nothing about who is better.
        """
        for vote in self.votes:
            if vote == "tie":
                for model, other in combinations(self.models.values(), 2):
                    if model != other:
                        yield model, other, 0.5
                        yield other, model, 0.5
            elif vote != "all_bad" and vote in self.models:
                winner = self.models[vote]
                for other in self.models.values():
                    if other != winner:
                        yield winner, other, 1.0


@dataclass(slots=True)
class Record:
    """What became of one model in the votes. `votes`: those that compare it with another model."""

    votes: int = 0
    wins: int = 0
    ties: int = 0
    all_bad: int = 0

    @property
    def win_rate(self) -> float | None:
        return self.wins / self.votes if self.votes else None

    @property
    def tie_rate(self) -> float | None:
        return self.ties / self.votes if self.votes else None

    @property
    def all_bad_rate(self) -> float | None:
        """Of all votes on its answers, those without winner or tie included."""
        verdicts = self.votes + self.all_bad
        return self.all_bad / verdicts if verdicts else None


def records(ballots: Sequence[Ballots]) -> dict[str, Record]:
    """By model, how the votes on its answers went; a vote counts once, however many slots the model had."""
    found: dict[str, Record] = {}
    for alike in ballots:
        models = set(alike.models.values())
        for vote, times in Counter(alike.votes).items():
            for model in models:
                _count(found.setdefault(model, Record()), alike, vote, model, times * alike.count)
    return found


def _count(record: Record, alike: Ballots, vote: Choice, model: str, number: int) -> None:
    if vote == "all_bad":
        record.all_bad += number
    elif len(set(alike.models.values())) > 1 and (vote == "tie" or vote in alike.models):
        record.votes += number
        record.ties += number * (vote == "tie")
        record.wins += number * (vote != "tie" and alike.models[vote] == model)

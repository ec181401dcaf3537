"""Bradley-Terry ratings by maximum likelihood, with intervals that know that votes on one comparison belong together.

The model (Bradley & Terry 1952): of two models i and j, i wins with probability 1 / (1 + exp(b_j - b_i)). The
strengths b are those under which the votes are likeliest, all votes at once; never Elo's running score, which depends
on the order in which votes came. Ties count as half a win each way. Ratings are b on the familiar scale of chess: 400
points are odds of ten to one, and the mean over all votes is 1000.

Intervals come from the sandwich estimator H⁻¹ B H⁻¹ (Huber 1967, White 1982), as Chatbot Arena's do (Chiang et al.
2024), with two changes. B sums up whole comparisons instead of single votes (Liang & Zeger 1986), for two people who
judge the same answers, or one who prefers one answer to nine, do not tell as much as as many independent votes. And B
holds, for every two models that met, one vote's worth of chance more: the first few votes, which may all agree, scatter
less than the truth does. It is soon outweighed.

Where the likelihood has no maximum. It has one if and only if, however the models are split in two, each part has won
against the other (Ford 1957; Hunter 2004, assumption 1).
- Models that no chain of votes connects cannot be compared: each connected group is rated by itself.
- Within a group, a model (or a set of models) that won every vote against the others would be infinitely strong. Each
  pair of models across such a border is given one tie that nobody cast: the ratings are finite, and the intervals about
  as wide as exact ones. Where no such border is, nothing is added. Ratings outside the largest set of models within
  which none is are marked as `one_sided`.

Sources: Bradley & Terry, Rank analysis of incomplete block designs, Biometrika 39, 1952. Ford, Solution of a ranking
problem from binary comparisons, Amer. Math. Monthly 64, 1957. Hunter, MM algorithms for generalized Bradley-Terry
models, Ann. Statist. 32, 2004. Liang & Zeger, Longitudinal data analysis using generalized linear models, Biometrika
73, 1986. Chiang et al., Chatbot Arena: an open platform for evaluating LLMs by human preference, ICML 2024.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comparisons.leaderboard.ballots import Ballots

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

MEAN = 1000.0
POINTS = 400 / math.log(10)
# Of the normal distribution: 95 of 100 intervals contain the truth.
Z = 1.959964
# Newton's method doubles the exact digits with each step, so this is many.
MOST_STEPS = 100
PRECISION = 1e-10
# Rows of scores that are held in memory at once.
CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Rating:
    """One model's strength in points, with the ends of its interval of 95 %."""

    model: str
    rating: float
    lower: float
    upper: float
    one_sided: bool
    """It (or a few together) only won, or only lost, against the others: the rating is a cautious guess."""


def rate(ballots: Sequence[Ballots]) -> list[list[Rating]]:
    """The ratings of each group of models that votes connect, the group with most votes first, the best model first.

    Models without a vote that compares them with another are in no group.
    """
    fits = [_Fit.of(group, ballots) for group in _groups(ballots)]
    fits.sort(key=lambda fit: (-fit.wins.sum(), fit.models))
    return [fit.ratings() for fit in fits]


def _groups(ballots: Sequence[Ballots]) -> list[list[str]]:
    """The models, group by group and sorted, of the graph whose edges are votes."""
    pairs = {(model, other) for alike in ballots for model, other, _wins in alike.outcomes()}
    models = sorted({model for pair in pairs for model in pair})
    index = {model: number for number, model in enumerate(models)}
    edges = np.zeros((len(models), len(models)))
    for model, other in pairs:
        edges[index[model], index[other]] = edges[index[other], index[model]] = 1
    labels = _reach(edges).argmax(axis=1) if models else []
    return [[models[at] for at in np.flatnonzero(labels == label)] for label in np.unique(labels)]


def _reach(edges: Matrix) -> npt.NDArray[np.bool_]:
    """Whether there is a way from each node to each other one, itself included."""
    reach = (edges > 0) | np.eye(len(edges), dtype=bool)
    for _ in range(max(1, len(edges) - 1).bit_length()):
        reach = (reach.astype(np.float64) @ reach) > 0
    return reach


@dataclass(frozen=True, slots=True)
class _Fit:
    """The votes of one group. `wins[i, j]`: of i over j, with the ties that are added at borders."""

    models: list[str]
    clusters: list[tuple[dict[tuple[int, int], float], int]]
    """Each kind of comparison: {(i, j): wins of i over j}, and how many there are."""
    wins: Matrix
    one_sided: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, models: list[str], ballots: Iterable[Ballots]) -> "_Fit":
        clusters = list(_clusters({model: number for number, model in enumerate(models)}, ballots))
        wins = np.zeros((len(models), len(models)))
        for outcomes, count in clusters:
            for pair, won in outcomes.items():
                wins[pair] += won * count
        beats = _reach(wins)
        mutual = beats & beats.T
        borders = np.where((wins + wins.T > 0) & ~mutual, 0.5, 0.0)
        for i, j in np.argwhere(np.triu(borders)).tolist():
            clusters.append(({(i, j): 0.5, (j, i): 0.5}, 1))
        peers = mutual.sum(axis=1)
        return cls(models, clusters, wins + borders, one_sided=(peers < peers.max()) | (peers == 1))

    def ratings(self) -> list[Rating]:
        strengths = self._strengths()
        games = (self.wins + self.wins.T).sum(axis=1)
        weights = games / games.sum()
        # From here on, all are relative to the mean over all votes, so that a newcomer's doubt is not everybody's.
        centre = np.eye(len(weights)) - np.outer(np.ones(len(weights)), weights)
        points = MEAN + POINTS * (centre @ strengths)
        margins = Z * POINTS * np.sqrt(np.diag(centre @ self._covariance(strengths) @ centre.T).clip(min=0))
        rows = zip(self.models, points.tolist(), margins.tolist(), self.one_sided.tolist(), strict=True)
        found = [Rating(model, at, at - margin, at + margin, one) for model, at, margin, one in rows]
        return sorted(found, key=lambda rating: (-rating.rating, rating.model))

    def _strengths(self) -> Vector:
        """The maximum of the likelihood, by Newton's method; steps that overshoot are halved."""
        strengths = np.zeros(len(self.models))
        likelihood = self._log_likelihood(strengths)
        for _ in range(MOST_STEPS):
            chances = _chances(strengths)
            gradient = (self.wins - (self.wins + self.wins.T) * chances).sum(axis=1)
            step = self._bread(chances) @ gradient
            while (better := self._log_likelihood(strengths + step)) < likelihood and np.abs(step).max() > PRECISION:
                step /= 2
            strengths, likelihood = strengths + step, better
            if np.abs(step).max() <= PRECISION:
                break
        return strengths

    def _log_likelihood(self, strengths: Vector) -> float:
        difference = strengths[:, None] - strengths[None, :]
        return float(-(self.wins * np.logaddexp(0, -difference)).sum())

    def _bread(self, chances: Matrix) -> Matrix:
        """The inverse of the information about what matters: the differences.

        That all were stronger by as much would change nothing, so in this one direction any number will do; the
        gradient and the scores have no part in it. The one put in keeps the matrix well conditioned.
        """
        weights = (self.wins + self.wins.T) * chances * chances.T
        degrees = weights.sum(axis=1)
        return np.linalg.inv(np.diag(degrees) - weights + degrees.mean() / len(degrees))

    def _covariance(self, strengths: Vector) -> Matrix:
        chances = _chances(strengths)
        filling, size = np.zeros_like(chances), 0
        for start in range(0, len(self.clusters), CHUNK):
            chunk = self.clusters[start : start + CHUNK]
            scores = np.zeros((len(chunk), len(chances)))
            for row, (outcomes, _count) in enumerate(chunk):
                for (i, j), won in outcomes.items():
                    surprise = won * chances[j, i]
                    scores[row, i] += surprise
                    scores[row, j] -= surprise
            counts = np.array([count for _outcomes, count in chunk])
            filling += (scores * counts[:, None]).T @ scores
            size += int(counts.sum())
        met = (self.wins + self.wins.T > 0) * chances * chances.T
        filling = filling * (size / max(1, size - 1)) + np.diag(met.sum(axis=1)) - met
        bread = self._bread(chances)
        return bread @ filling @ bread


def _clusters(index: dict[str, int], ballots: Iterable[Ballots]) -> Iterator[tuple[dict[tuple[int, int], float], int]]:
    for alike in ballots:
        outcomes: dict[tuple[int, int], float] = {}
        for model, other, won in alike.outcomes():
            if model in index:
                pair = index[model], index[other]
                outcomes[pair] = outcomes.get(pair, 0.0) + won
        if outcomes:
            yield outcomes, alike.count


def _chances(strengths: Vector) -> Matrix:
    """The probability that each wins against each other."""
    difference = strengths[:, None] - strengths[None, :]
    chances: Matrix = (1 + np.tanh(difference / 2)) / 2
    return chances

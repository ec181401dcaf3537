"""Whose turn it is: the comparisons that somebody can still judge without knowing who answered what."""

from dataclasses import dataclass
from typing import Self

from django.db.models import QuerySet

from accounts.models import User
from comparisons.models import Comparison
from comparisons.models.comparison import ComparisonQuerySet

# Counting further would take time and tell nothing more.
MOST_COUNTED = 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where a comparison stands in a queue: what others asked comes first, then the own; of each the newest first."""

    pk: str
    is_own: bool

    def comes_before(self, other: Self) -> bool:
        return other.is_own if self.is_own != other.is_own else self.pk > other.pk


@dataclass(frozen=True, slots=True)
class Turn:
    """What a reviewer sees of a queue: how many wait (at most one more than `MOST_COUNTED`), and the ids beside here.

    Beyond the last one is the first one again; None where no other waits.
    """

    left: int
    following: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """The finished comparisons that this reviewer has not voted on."""

    reviewer: User
    tag: str = ""

    @property
    def waiting(self) -> ComparisonQuerySet:
        own = Comparison.objects.of_tenant(self.reviewer.tenant_id)
        return own.search(tag=self.tag).to_review_by(self.reviewer)

    def first(self) -> str | None:
        """The id of the comparison whose turn it is."""
        places = self._places()
        if len(places) <= MOST_COUNTED:
            return places[0].pk if places else None
        others, own = self._parts()
        return _id(others) or _id(own)

    def turn(self, comparison: Comparison) -> Turn:
        """At this comparison, whether it is voted on by now or not."""
        here = Place(comparison.pk, comparison.author_id == self.reviewer.pk)
        places = self._places()
        if len(places) > MOST_COUNTED:
            return Turn(len(places), self._after(here), self._before(here))
        others = [place for place in places if place.pk != here.pk]
        after = [place.pk for place in others if here.comes_before(place)]
        before = [place.pk for place in others if place.comes_before(here)]
        return Turn(
            left=len(places),
            following=next(iter(after or before), None),
            previous=next(reversed(before or after), None),
        )

    def _places(self) -> list[Place]:
        """In their order, unless there are more than `MOST_COUNTED`.

        Where few are left, finding them means to look through the whole history, so it is done once for all questions.
        """
        rows = self.waiting.values_list("pk", "author")[: MOST_COUNTED + 1]
        places = [Place(pk, author == self.reviewer.pk) for pk, author in rows]
        return sorted(places, key=lambda place: place.is_own)

    def _parts(self) -> tuple[QuerySet[Comparison], QuerySet[Comparison]]:
        return self.waiting.exclude(author=self.reviewer), self.waiting.filter(author=self.reviewer)

    def _after(self, here: Place) -> str | None:
        others, own = self._parts()
        if here.is_own:
            return _id(own.filter(pk__lt=here.pk)) or _id(others) or _id(own.exclude(pk=here.pk))
        return _id(others.filter(pk__lt=here.pk)) or _id(own) or _id(others.exclude(pk=here.pk))

    def _before(self, here: Place) -> str | None:
        others, own = (part.reverse() for part in self._parts())
        if here.is_own:
            return _id(own.filter(pk__gt=here.pk)) or _id(others) or _id(own.exclude(pk=here.pk))
        return _id(others.filter(pk__gt=here.pk)) or _id(own) or _id(others.exclude(pk=here.pk))


def _id(comparisons: QuerySet[Comparison]) -> str | None:
    return comparisons.values_list("pk", flat=True).first()

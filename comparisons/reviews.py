"""Whose turn it is: the comparisons that somebody can still judge without knowing who answered what."""

from dataclasses import dataclass

from django.db.models import QuerySet

from accounts.models import User
from comparisons.models import Comparison
from comparisons.models.comparison import ComparisonQuerySet

# Counting further would cost time and tell nothing more.
MOST_COUNTED = 100


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """What this reviewer has not voted on: first what others asked, then their own; the newest first of each."""

    reviewer: User
    tag: str = ""

    @property
    def waiting(self) -> ComparisonQuerySet:
        own = Comparison.objects.of_tenant(self.reviewer.tenant_id)
        return own.search(tag=self.tag).to_review_by(self.reviewer)

    @property
    def _parts(self) -> tuple[QuerySet[Comparison], QuerySet[Comparison]]:
        return self.waiting.exclude(author=self.reviewer), self.waiting.filter(author=self.reviewer)

    def left(self) -> int:
        """How many wait, counted no further than one above `MOST_COUNTED`."""
        return self.waiting[: MOST_COUNTED + 1].count()

    def first(self) -> str | None:
        """The id of the comparison whose turn it is."""
        others, own = self._parts
        return _id(others) or _id(own)

    def after(self, comparison: Comparison) -> str | None:
        """The next one, and from the last one on the first again; None where no other waits."""
        others, own = self._parts
        if comparison.author_id == self.reviewer.pk:
            return _id(own.filter(pk__lt=comparison.pk)) or _id(others) or _id(own.exclude(pk=comparison.pk))
        return _id(others.filter(pk__lt=comparison.pk)) or _id(own) or _id(others.exclude(pk=comparison.pk))

    def before(self, comparison: Comparison) -> str | None:
        """The way back of `after`."""
        others, own = (part.reverse() for part in self._parts)
        if comparison.author_id == self.reviewer.pk:
            return _id(own.filter(pk__gt=comparison.pk)) or _id(others) or _id(own.exclude(pk=comparison.pk))
        return _id(others.filter(pk__gt=comparison.pk)) or _id(own) or _id(others.exclude(pk=comparison.pk))


def _id(comparisons: QuerySet[Comparison]) -> str | None:
    return comparisons.values_list("pk", flat=True).first()

"""Paging through a ledger of any length: newest first, without counting and without OFFSET.

By time and primary key or, where keys grow with time, by the key alone.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator

from accounts.admin.base import ChangeList

KEY = re.compile(r"\w{1,40}", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in the ledger."""

    at: datetime
    pk: int

    @classmethod
    def of(cls, row: Any) -> Self:
        return cls(row.created_at, row.pk)

    @property
    def older(self) -> Q:
        # Written so that the index of the first condition is used; alone, the second would read the whole table.
        return Q(created_at__lte=self.at) & (Q(created_at__lt=self.at) | Q(pk__lt=self.pk))

    @property
    def newer(self) -> Q:
        return Q(created_at__gte=self.at) & (Q(created_at__gt=self.at) | Q(pk__gt=self.pk))

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // MICROSECOND}-{self.pk}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for what `str` did not write."""
        parts = text.split("-")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 18 for part in parts):
            return None
        return cls(EPOCH + int(parts[0]) * MICROSECOND, int(parts[1]))


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a row stands among rows whose keys grow with time."""

    pk: Any

    @classmethod
    def of(cls, row: Any) -> Self:
        return cls(row.pk)

    @property
    def older(self) -> Q:
        return Q(pk__lt=self.pk)

    @property
    def newer(self) -> Q:
        return Q(pk__gt=self.pk)

    def __str__(self) -> str:
        return str(self.pk)


class KeysetChangeList(ChangeList):
    """A page is named by the row that it begins beside (`p=older-…`), so the last costs as much as the first."""

    place: ClassVar[type[Place | KeyPlace]] = Place
    newest_first: ClassVar[list[str]] = ["-created_at", "-pk"]
    newer_url = ""
    older_url = ""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self.newest_first

    def get_results(self, request: HttpRequest) -> None:
        direction, _, text = request.GET.get(PAGE_VAR, "").partition("-")
        place = self.parse_place(text) if direction in {"older", "newer"} else None
        backwards = place is not None and direction == "newer"
        rows, more = self._page(place, backwards=backwards)
        if rows and (more if backwards else place):
            self.newer_url = self.get_query_string({PAGE_VAR: f"newer-{self.place.of(rows[0])}"})
        if rows and (backwards or more):
            self.older_url = self.get_query_string({PAGE_VAR: f"older-{self.place.of(rows[-1])}"})
        self._show(rows)

    def parse_place(self, text: str) -> Place | KeyPlace | None:
        """What an address names; None for what no page wrote."""
        return Place.parse(text)

    def _page(self, place: Place | KeyPlace | None, *, backwards: bool) -> tuple[list[Any], bool]:
        """The rows of a page, newest first, and whether there are more beyond it."""
        queryset = self.queryset
        if place:
            queryset = queryset.filter(place.newer if backwards else place.older)
        if backwards:
            queryset = queryset.reverse()
        rows = list(queryset[: self.list_per_page + 1])
        more = len(rows) > self.list_per_page
        rows = rows[: self.list_per_page]
        return (rows[::-1] if backwards else rows), more

    def _show(self, rows: list[Any]) -> None:
        """What Django's own `get_results` leaves behind, as far as a list without totals has it."""
        self.result_list = rows
        self.result_count = len(rows)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = False
        self.multi_page = bool(self.newer_url or self.older_url)
        self.paginator = InfinitePaginator(self.queryset, self.list_per_page)  # Unfold's mark of an uncounted list


class KeyChangeList(KeysetChangeList):
    """For rows whose keys grow with time."""

    place = KeyPlace
    newest_first = ["-pk"]

    def parse_place(self, text: str) -> KeyPlace | None:
        if not KEY.fullmatch(text):
            return None
        try:
            return KeyPlace(self.model._meta.pk.to_python(text))
        except ValidationError:
            return None

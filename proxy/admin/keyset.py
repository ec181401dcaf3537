"""Paging through a ledger of any length: newest first, by primary key, without counting and without OFFSET."""

from typing import Any

from django.contrib.admin.views.main import PAGE_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator

from accounts.admin.base import ChangeList

OLDER, NEWER = "older", "newer"


class KeysetChangeList(ChangeList):
    """A page is named by the row it begins beside (`p=older-4711`), so the last costs as much as the first."""

    newer_url = ""
    older_url = ""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        direction, pk = _cursor(request.GET.get(PAGE_VAR, ""))
        rows, more = self._page(direction, pk)
        has_newer = more if direction == NEWER else pk is not None
        has_older = direction == NEWER or more
        if rows and has_newer:
            self.newer_url = self.get_query_string({PAGE_VAR: f"{NEWER}-{rows[0].pk}"})
        if rows and has_older:
            self.older_url = self.get_query_string({PAGE_VAR: f"{OLDER}-{rows[-1].pk}"})
        self.result_list = rows
        self.result_count = len(rows)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = False
        self.multi_page = bool(self.newer_url or self.older_url)
        # Unfold's mark of a list that was not counted.
        self.paginator = InfinitePaginator(self.queryset, self.list_per_page)

    def _page(self, direction: str, pk: int | None) -> tuple[list[Any], bool]:
        """The rows of a page, newest first, and whether there are more beyond it."""
        queryset = self.queryset
        if pk is not None:
            queryset = queryset.filter(pk__gt=pk).order_by("pk") if direction == NEWER else queryset.filter(pk__lt=pk)
        rows = list(queryset[: self.list_per_page + 1])
        more = len(rows) > self.list_per_page
        rows = rows[: self.list_per_page]
        return (rows[::-1] if direction == NEWER else rows), more


def _cursor(text: str) -> tuple[str, int | None]:
    direction, _, number = text.partition("-")
    if direction in {OLDER, NEWER} and number.isascii() and number.isdigit() and len(number) < 19:
        return direction, int(number)
    return OLDER, None

"""What the tenant has compared: list, detail, export."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from accounts.callers import Caller
from accounts.sql import run_query
from comparisons import stored
from comparisons.export import Export, format_of
from comparisons.filters import Filters
from comparisons.schema import (
    create_comparison_alias,
    export_comparison,
    export_comparisons,
    list_comparisons,
    retrieve_comparison,
)
from comparisons.views.access import ComparisonView
from comparisons.views.compare import CompareModels

EXPORTED_AT_ONCE = 50


@extend_schema_view(get=list_comparisons, post=create_comparison_alias)
class ComparisonList(CompareModels):
    """The history of the caller's tenant, and another address to ask for a comparison."""

    async def get(self, request: Request) -> HttpResponse:
        caller = await self.member()
        filters = Filters.parse(request.query_params, caller.time_zone)
        return json(await run_query(stored.page, caller, filters, self.url_of("")))


@extend_schema_view(get=retrieve_comparison)
class ComparisonDetail(ComparisonView):
    """One comparison; `running` until its answers are recorded."""

    async def get(self, request: Request, comparison_id: str) -> HttpResponse:
        caller = await self.member()
        return json(await run_query(stored.whole, caller, comparison_id, self.url_of("")))


@extend_schema_view(get=export_comparison)
class ComparisonExport(ComparisonView):
    """One comparison as a file."""

    async def get(self, request: Request, comparison_id: str) -> HttpResponseBase:
        caller = await self.member()
        kind = format_of(request.query_params.get("format", "jsonl"))
        comparison = await run_query(stored.whole, caller, comparison_id, self.url_of(""))
        return Export(comparison["id"], kind, _once([comparison]))


@extend_schema_view(get=export_comparisons)
class ComparisonListExport(ComparisonView):
    """Everything that is found as a file."""

    async def get(self, request: Request) -> HttpResponseBase:
        caller = await self.member()
        kind = format_of(request.query_params.get("format", "jsonl"))
        filters = Filters.parse(request.query_params, caller.time_zone)
        return Export("comparisons", kind, self._batches(caller, filters))

    async def _batches(self, caller: Caller, filters: Filters) -> AsyncIterator[Sequence[dict[str, Any]]]:
        after, pages = "", self.url_of("")
        while batch := await run_query(stored.batch, caller, filters, after, EXPORTED_AT_ONCE, pages):
            yield batch
            after = batch[-1]["id"]


async def _once(batch: Sequence[dict[str, Any]]) -> AsyncIterator[Sequence[dict[str, Any]]]:
    yield batch


def json(data: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), status=status, content_type="application/json")

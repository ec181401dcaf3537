"""What people make of a comparison: votes, notes, and asking other models the same."""

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from accounts.sql import run_query
from comparisons import stored
from comparisons.models.comparison import Source
from comparisons.request import ComparisonRequest, require_fields
from comparisons.schema import create_note, create_vote, rerun_comparison
from comparisons.views.access import ComparisonView
from comparisons.views.compare import Comparing
from comparisons.views.history import json


@extend_schema_view(post=create_vote)
class Votes(ComparisonView):
    """The caller's vote; a later one replaces it."""

    async def post(self, request: Request, comparison_id: str) -> HttpResponse:
        caller = await self.member()
        data = require_fields(request.data, {"winner", "note"}, '{"winner": 0}')
        return json(await run_query(stored.vote, caller, comparison_id, data))


@extend_schema_view(post=create_note)
class Notes(ComparisonView):
    """A note beside the comparison."""

    async def post(self, request: Request, comparison_id: str) -> HttpResponse:
        caller = await self.member()
        data = require_fields(request.data, {"text"}, '{"text": "…"}')
        return json(await run_query(stored.note, caller, comparison_id, data), status=201)


@extend_schema_view(post=rerun_comparison)
class Rerun(Comparing):
    """The same question to other models, or again to the same; the new comparison is the successor of this one.

    One model is enough here: what it answers is read beside what is there already.
    """

    async def post(self, request: Request, comparison_id: str) -> HttpResponseBase:
        caller = await self.member()
        data = require_fields(request.data, RERUN_FIELDS, '{"models": ["a", "b"]}')
        asked = ComparisonRequest.parse(await run_query(stored.again, caller, comparison_id, data), fewest=1)
        source = Source.PLAYGROUND if self.is_page else Source.API
        return await self.compare(asked, source=source, successor_of=comparison_id)


RERUN_FIELDS = frozenset(
    {"models", "params", "stream", "timeout_s", "cache", "fallbacks", "title", "tags", "store", "on_disconnect"}
)

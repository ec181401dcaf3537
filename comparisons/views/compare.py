"""`POST /compare_models`: one prompt, several models, all answers side by side."""

from typing import Any, ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from accounts.callers import Caller
from accounts.sql import run_query
from comparisons.admission import deciding
from comparisons.begin import Wanted
from comparisons.logged import LoggedRequest
from comparisons.models import Answer
from comparisons.models.comparison import Source
from comparisons.once import begin_once
from comparisons.replay import Told
from comparisons.request import ComparisonRequest
from comparisons.schema import create_comparison
from comparisons.stream import ComparisonStream
from comparisons.views.access import ComparisonView
from comparisons.views.told import admission_headers, whole
from proxy.gateway import running
from proxy.options import Options


class Comparing(ComparisonView):
    """The steps that every comparison takes."""

    route: ClassVar[str] = ""  # what all addresses of a view are called by; "" where there is but one, beside /v1

    async def compare(
        self,
        asked: ComparisonRequest,
        *,
        source: Source,
        successor_of: str | None = None,
        logged: Answer | None = None,
    ) -> HttpResponseBase:
        told = await self.begin(asked, source=source, successor_of=successor_of, logged=logged)
        pages = self.url_of("")
        if asked.stream:
            stream = ComparisonStream(told, pages, admission_headers(told))
            told.start()
            return stream
        told.start()
        await told.wait()
        return whole(told, told.comparison.public(told.answers, told.tags, pages + told.comparison.pk), self.request_id)

    async def begin(
        self,
        asked: ComparisonRequest,
        *,
        source: Source,
        successor_of: str | None = None,
        logged: Answer | None = None,
    ) -> Told:
        """A run that is to be started, or what was answered to this request before."""
        gateway, options = running(), Options.parse(self.request.headers)

        async def authenticate() -> Caller:
            return await self.authenticate(gateway)

        wanted = Wanted(asked, deciding(asked, authenticate, options), source, successor_of, logged)
        return await begin_once(gateway, self.request, self.route or self.request.path.removeprefix("/v1"), wanted)


@extend_schema_view(post=create_comparison)
class CompareModels(Comparing):
    """Ask 2 to 10 models at once.

    Pages of ours send the session cookie and the header X-CSRFToken instead of a key (`accounts.sessions`); such a
    comparison's source is the playground.
    """

    route = "/compare_models"

    async def post(self, request: Request) -> HttpResponseBase:
        source = Source.PLAYGROUND if self.is_page else Source.API
        data: Any = request.data
        if not isinstance(data, dict) or not isinstance(data.get("from_request"), str):
            return await self.compare(ComparisonRequest.parse(data), source=source)
        caller = await self.member()
        logged = await run_query(LoggedRequest.load, caller, data["from_request"])
        asked = ComparisonRequest.parse(logged.into(data), fewest=1, first_slot=1)
        return await self.compare(asked, source=source, logged=logged.answer)

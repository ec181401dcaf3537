"""`POST /compare_models`: one prompt, several models, all answers side by side."""

from typing import Any

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from accounts.callers import Caller
from accounts.sql import run_query
from comparisons.begin import begin
from comparisons.logged import LoggedRequest
from comparisons.models import Answer
from comparisons.models.comparison import Source, Status
from comparisons.request import ComparisonRequest
from comparisons.run import Run
from comparisons.schema import create_comparison
from comparisons.stream import ComparisonStream
from comparisons.views.access import ComparisonView
from proxy.errors import UpstreamError
from proxy.gateway import running
from proxy.options import Options

NOT_PROVIDERS = ("x-ratelimit-", "x-gateway-budget-")


class Comparing(ComparisonView):
    """The steps that every comparison takes."""

    async def compare(
        self,
        asked: ComparisonRequest,
        *,
        source: Source,
        successor_of: str | None = None,
        logged: Answer | None = None,
    ) -> HttpResponseBase:
        gateway, options = running(), Options.parse(self.request.headers)
        pages = self.url_of("")

        async def authenticate() -> Caller:
            return await self.authenticate(gateway)

        run = await begin(
            gateway,
            asked,
            authenticate,
            source=source,
            options=options,
            successor_of=successor_of,
            logged=logged,
        )
        if asked.stream:
            stream = ComparisonStream(run, pages, admission_headers(run))
            run.start()
            return stream
        run.start()
        await run.wait()
        return self.answer(run, pages)

    def answer(self, run: Run, pages: str) -> HttpResponse:
        """200 where at least one model answered, else 502 with the same body and an error."""
        body = run.comparison.public(run.answers, run.tags, pages + run.comparison.pk)
        failed = run.comparison.status == Status.FAILED or not body["summary"]["ok"]
        return HttpResponse(
            orjson.dumps({**body, "error": none_answered(run).body(self.request_id)} if failed else body),
            status=502 if failed else 200,
            content_type="application/json",
            headers={**admission_headers(run), **outcome_headers(run)},
        )


@extend_schema_view(post=create_comparison)
class CompareModels(Comparing):
    """Ask 2 to 10 models at once.

    Pages of ours send the session cookie and the header X-CSRFToken instead of a key (`accounts.sessions`); such a
    comparison's source is the playground.
    """

    async def post(self, request: Request) -> HttpResponseBase:
        source = Source.PLAYGROUND if self.is_page else Source.API
        data: Any = request.data
        if not isinstance(data, dict) or not isinstance(data.get("from_request"), str):
            return await self.compare(ComparisonRequest.parse(data), source=source)
        caller = await self.member()
        logged = await run_query(LoggedRequest.load, caller, data["from_request"])
        asked = ComparisonRequest.parse(logged.into(data), fewest=1, first_slot=1)
        return await self.compare(asked, source=source, logged=logged.answer)


def none_answered(run: Run) -> UpstreamError:
    """What stands under "error" where no model answered."""
    attempts = [attempt for call in run.calls for attempt in call.attempts]
    told = "; ".join(f"{answer.requested_model}: {(answer.error or {}).get('code')}" for answer in run.answers)
    return UpstreamError(
        f"No model answered ({told}). Each answer says why.", attempts, status=502, code="none_answered"
    )


def admission_headers(run: Run) -> dict[str, str]:
    """What the ledger says of the limits that apply."""
    headers = run.calls[-1].headers()
    return {name: value for name, value in headers.items() if name.startswith(NOT_PROVIDERS)}


def outcome_headers(run: Run) -> dict[str, str]:
    """Of all calls together. The gateway's own time is what the slowest model did not take."""
    hits = sum(call.cached is not None for call in run.calls)
    reads = any(call.reads_cache for call in run.calls)
    slowest = max((sum(attempt.ms for attempt in call.attempts) for call in run.calls), default=0.0)
    overhead = max(0.0, run.calls[0].elapsed_ms - slowest)
    return {
        "x-gateway-attempts": str(sum(len(call.attempts) for call in run.calls)),
        "x-gateway-cache": "hit" if hits == len(run.calls) else "miss" if reads else "bypass",
        "x-gateway-cost-usd": str(run.comparison.summary(run.answers)["cost_usd"]),
        "x-gateway-overhead-ms": f"{overhead:.1f}",
        **models_headers(run),
    }


def models_headers(run: Run) -> dict[str, str]:
    """Who answers, as far as it is known, in the order of the slots."""
    told = [call.headers() for call in run.calls]
    names = {
        name: ", ".join(headers[name] for headers in told if name in headers)
        for name in ("x-gateway-model", "x-gateway-provider")
    }
    return {name: value for name, value in names.items() if value}

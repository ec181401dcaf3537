"""`POST /v1/chat/completions`, which also compares: `model: "compare:a,b,c"`."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from accounts.callers import Caller
from comparisons.begin import begin
from comparisons.chat import ChoicesStream, completion, is_comparison, parse
from comparisons.models.answer import AnswerStatus
from comparisons.models.comparison import Source
from comparisons.run import Run, Step
from comparisons.views.compare import Comparing, admission_headers, models_headers, none_answered, outcome_headers
from proxy.gateway import running
from proxy.options import Options
from proxy.schema import create_chat_completion
from proxy.views import ChatCompletions


@extend_schema_view(post=create_chat_completion)
class ComparingChatCompletions(Comparing, ChatCompletions):
    """The proxy's own view, but for a model that is a comparison."""

    async def post(self, request: Request) -> HttpResponseBase:
        data: Any = request.data
        if not is_comparison(data):
            return await super().post(request)
        gateway, options = running(), Options.parse(request.headers)
        model: str = data["model"]
        asked, pages = parse(data, options.timeout_s), self.url_of("")

        async def authenticate() -> Caller:
            return await self.authenticate(gateway)

        run = await begin(gateway, asked, authenticate, source=Source.CHAT, options=options)
        page = pages + run.comparison.pk
        if not asked.stream:
            run.start()
            await run.wait()
            return self._compared(run, model, page)
        steps = run.follow()
        run.start()
        head = await _to_first_content(run, steps)
        if head[-1].kind == "done":
            return self._compared(run, model, page)
        headers = {**admission_headers(run), **models_headers(run)}
        return ChoicesStream(run, model, page, head, steps, headers, usage_chunk=asked.wants_usage_chunk)

    def _compared(self, run: Run, model: str, page: str) -> HttpResponse:
        """200 where at least one model answered, else 502 with the same body and an error."""
        body = completion(run, model, page)
        failed = not any(answer.status == AnswerStatus.OK for answer in run.answers)
        return HttpResponse(
            orjson.dumps({**body, "error": none_answered(run).body(self.request_id)} if failed else body),
            status=502 if failed else 200,
            content_type="application/json",
            headers={**admission_headers(run), **outcome_headers(run)},
        )


async def _to_first_content(run: Run, steps: AsyncIterator[Step]) -> list[Step]:
    """The answer is held until something is said, so that it can still be a refusal where nobody says anything."""
    head = []
    try:
        async for step in steps:
            head.append(step)
            if step.kind in {"delta", "done"}:
                break
    except BaseException:
        run.leave()
        raise
    return head

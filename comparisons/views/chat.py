"""`POST /v1/chat/completions`, which also compares: `model: "compare:a,b,c"`."""

from collections.abc import AsyncIterator, Coroutine
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from comparisons.chat import ChoicesStream, completion, is_comparison, parse
from comparisons.models.comparison import Source
from comparisons.replay import Told
from comparisons.run import Step
from comparisons.views.compare import Comparing
from comparisons.views.told import admission_headers, models_headers, whole
from proxy.options import Options
from proxy.schema import create_chat_completion
from proxy.views import ChatCompletions


@extend_schema_view(post=create_chat_completion)
class ComparingChatCompletions(Comparing, ChatCompletions):
    """The proxy's own view, but for a model that is a comparison."""

    def post(self, request: Request) -> Coroutine[Any, Any, HttpResponseBase]:
        return self._compared(request.data) if is_comparison(request.data) else super().post(request)

    async def _compared(self, data: Any) -> HttpResponseBase:
        model: str = data["model"]
        asked = parse(data, Options.parse(self.request.headers).timeout_s)
        told = await self.begin(asked, source=Source.CHAT)
        page = self.url_of(told.comparison.pk)
        if not asked.stream:
            told.start()
            await told.wait()
            return whole(told, completion(told, model, page), self.request_id)
        steps = told.follow()
        told.start()
        head = await _to_first_content(told, steps)
        if head[-1].kind == "done":
            return whole(told, completion(told, model, page), self.request_id)
        headers = {**admission_headers(told), **models_headers(told)}
        return ChoicesStream(told, model, page, head, steps, headers, usage_chunk=asked.wants_usage_chunk)


async def _to_first_content(told: Told, steps: AsyncIterator[Step]) -> list[Step]:
    """The answer is held until something is said, so that it can still be a refusal where nobody says anything."""
    head = []
    try:
        async for step in steps:
            head.append(step)
            if step.kind in {"delta", "done"}:
                break
    except BaseException:
        told.leave()
        raise
    return head

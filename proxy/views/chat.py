"""`POST /v1/chat/completions`: the hot path, top to bottom."""

from typing import ClassVar

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from proxy.cache import CachedAnswer, name_of
from proxy.call import Call
from proxy.catalogue import Catalogue
from proxy.chat import ChatRequest
from proxy.chunks import as_stream
from proxy.gateway import Gateway, running
from proxy.http.response import WholeResponse, WrittenEventStream
from proxy.http.stream import EventStream
from proxy.http.view import AsyncAPIView
from proxy.idempotency import once
from proxy.metering import measure
from proxy.options import Options
from proxy.schema import create_chat_completion, create_fallback_completion
from proxy.transcript import Transcript


@extend_schema_view(post=create_chat_completion)
class ChatCompletions(AsyncAPIView):
    """Answer a chat with a model, or with the first model of a chain that can."""

    names_listed: ClassVar[bool] = False

    async def post(self, request: Request) -> HttpResponseBase:
        chat = ChatRequest.parse(request.data, list_required=self.names_listed)
        options = Options.parse(request.headers)
        gateway = running()
        length = len(request.body)

        async def decide(catalogue: Catalogue) -> Call:
            caller = await gateway.credentials.authenticate(request.headers, self.client_ip)
            caller.require_plain_calls()
            route = catalogue.route(chat.names, caller)
            cacheable = route.cache_ttl_s > 0 and options.writes_cache and (route.cache_streams or not chat.stream)
            return Call(
                request_id=self.request_id,
                caller=caller,
                route=route,
                requested_model=chat.names[0],
                endpoint="chat",
                body=chat.body,
                streamed=chat.stream,
                tags=options.tags,
                prompt_bytes=length,
                deadline_s=options.deadline_s(route.deadline_s),
                reads_cache=cacheable and options.reads_cache,
                cached_name=name_of(caller.cache_scope, route.fingerprint, chat.body) if cacheable else "",
                transcript=Transcript(request.data, length) if caller.stores_bodies else None,
            )

        async def answer(call: Call) -> HttpResponseBase:
            if call.cached:
                call.note_answer(call.cached.raw)
                gateway.finish(call)
                return _cached(call.cached, call, chat)
            if chat.stream:
                return await self._stream(gateway, call, chat, options)
            return await self._whole(gateway, call)

        return await once(gateway, request, decide, answer)

    async def _whole(self, gateway: Gateway, call: Call) -> HttpResponse:
        with gateway.finish_on_error(call):
            answer = await gateway.relay.complete(call)
            await measure(call)
        call.note_answer(answer.raw)
        gateway.finish(call, answer=answer.raw)
        return _json(answer.raw, call)

    async def _stream(self, gateway: Gateway, call: Call, chat: ChatRequest, options: Options) -> EventStream:
        with gateway.finish_on_error(call):
            buffered = (options.stream_guard or call.route.stream_guard) == "buffered"
            stream = await gateway.relay.stream(call, buffered=buffered)
        return EventStream(gateway, call, stream, usage_chunk=chat.wants_usage_chunk)


@extend_schema_view(post=create_fallback_completion)
class FallbackCompletion(ChatCompletions):
    """The same with an explicit list of models and chains, tried in order."""

    names_listed = True


def _cached(answer: CachedAnswer, call: Call, chat: ChatRequest) -> HttpResponseBase:
    if not chat.stream:
        return _json(answer.raw, call)
    events = as_stream(orjson.loads(answer.raw), usage_chunk=chat.wants_usage_chunk)
    return WrittenEventStream(events, headers=call.headers())


def _json(raw: bytes, call: Call) -> HttpResponse:
    return WholeResponse(raw, {"content-type": "application/json", **call.headers()})

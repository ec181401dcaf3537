"""Providers with wires of their own (Anthropic, Gemini, Bedrock, Azure, Cohere …), translated by litellm.

Two rooms carry calls out. `litellm_translation` uses nothing of litellm but its translation, for the kinds of providers
in `litellm_dialects`; `litellm_sdk` calls litellm itself, for all others. What litellm cannot be trusted with is done
around it: HTTP in `litellm_exchange` and `litellm_http`, the shape of answers in `litellm_shape`.

- Fields of OpenAI's API that a provider does not know are left out, so that a request written for OpenAI survives a
  fallback. Fields that OpenAI's API does not know go into the provider's request as they are, at its top level, under
  the provider's own name for them. No field of a caller ever becomes an option of litellm: there are hundreds, from
  addresses and credentials to callbacks, and new ones with each release.
- Nobody else's addresses are fetched: an image given as a web address is passed on where the provider fetches it
  itself, and refused elsewhere.
"""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from copy import deepcopy
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from proxy.upstreams import litellm_shape
from proxy.upstreams.base import Answer, Event, Target
from proxy.upstreams.failures import StreamCut
from proxy.upstreams.http import Pool
from proxy.upstreams.litellm_exchange import Exchange, PooledExchange

if TYPE_CHECKING:
    import aiohttp

ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",  # no .env file
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download at import
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",  # nor at the first call
    "LITELLM_DISABLE_BUG_REPORT_LINK": "true",
    "MAX_IMAGE_URL_DOWNLOAD_SIZE_MB": "0",
    "USE_LITELLM_PROXY": "False",  # else every call goes to a proxy that the environment names
}

# What litellm translates, by name. `top_k` and `thinking` are not OpenAI's, but known to it for every provider.
# fmt: off
TRANSLATED = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "modalities", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "temperature",
    "thinking", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})
# fmt: on
EMBEDDING_FIELDS = frozenset({"dimensions", "encoding_format", "input", "input_type", "user"})
# What concerns the call and not the provider, or only OpenAI's own storage.
LEFT_OUT = frozenset({"model", "messages", "stream", "stream_options", "metadata", "store", "prompt_cache_retention"})

# Bytes that a stream must have shown before it counts as complete: litellm does not tell a cut stream from a whole one.
END_MARKS = {
    "anthropic": (b'"message_stop"',),
    "gemini": (b'"finishReason"', b'"blockReason"'),
    "vertex_ai": (b'"finishReason"', b'"blockReason"', b'"message_stop"', b"[DONE]"),  # models of several vendors
}


class Library(NamedTuple):
    """litellm, loaded: all of it, and its translation alone."""

    sdk: ModuleType
    translation: ModuleType


class LitellmWire:
    """Pools of connections for all providers of this wire; belongs to the event loop that it was first used in."""

    def __init__(self) -> None:
        self._library: Library | None = None
        self._loading = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._pool: Pool | None = None

    async def prepare(self) -> Library:
        """Import litellm, in a thread, if that has not been done: it takes seconds, so do it before the first call."""
        async with self._loading:
            if self._library is None:
                self._library = await asyncio.to_thread(_import_library)
        return self._library

    async def complete(self, target: Target, body: dict[str, Any]) -> Answer:
        """A chat completion. Raises UpstreamFailure."""
        library = await self.prepare()
        request = _chat_request(target, body)
        room, exchange = self._room(library, target, request, _foreign(body, TRANSLATED))
        try:
            response = await room.complete(exchange, target, request)
        finally:
            exchange.close()
        return _answer(litellm_shape.completion(response))

    async def stream(self, target: Target, body: dict[str, Any]) -> AsyncIterator[Sequence[Event]]:
        """A chat completion as it is written. Raises UpstreamFailure."""
        library = await self.prepare()
        request, marks = _chat_request(target, body), END_MARKS.get(target.kind, ())
        room, exchange = self._room(library, target, request, _foreign(body, TRANSLATED), marks)
        shape = litellm_shape.ChunkStream(target.model)
        try:
            async with aclosing(room.chunks(exchange, target, request)) as chunks:
                async for chunk in chunks:
                    if events := shape.feed(chunk):
                        yield events
            if not (shape.is_finished and exchange.is_complete):
                raise exchange.failure or StreamCut("The provider ended the stream before the answer was complete.")
            yield shape.end()
        finally:
            exchange.close()

    async def embed(self, target: Target, body: dict[str, Any]) -> Answer:
        """Embeddings. Raises UpstreamFailure."""
        library = await self.prepare()
        exchange = self._client_exchange(library, target, _foreign(body, EMBEDDING_FIELDS))
        try:
            response = await library.sdk.embed(exchange, target, _request(target, body, EMBEDDING_FIELDS))
        finally:
            exchange.close()
        return _answer(litellm_shape.embeddings(response))

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None
        if self._pool:
            await self._pool.close()
            self._pool = None

    def _room(
        self,
        library: Library,
        target: Target,
        request: dict[str, Any],
        fields: dict[str, Any],
        marks: tuple[bytes, ...] = (),
    ) -> tuple[ModuleType, Exchange]:
        """Who carries out this call, and the exchange that it takes."""
        if not library.translation.takes(target, request):
            return library.sdk, self._client_exchange(library, target, fields, marks)
        if self._pool is None:
            self._pool = Pool()
        exchange = PooledExchange(self._pool, connect_timeout_s=target.connect_timeout_s, fields=fields, marks=marks)
        return library.translation, exchange

    def _client_exchange(
        self, library: Library, target: Target, fields: dict[str, Any], marks: tuple[bytes, ...] = ()
    ) -> Exchange:
        if self._session is None:
            self._session = library.sdk.open_session()
        exchange: Exchange = library.sdk.ClientExchange(
            self._session, connect_timeout_s=target.connect_timeout_s, fields=fields, marks=marks
        )
        return exchange


def _import_library() -> Library:
    os.environ.update(ENVIRONMENT)
    # The one lazy import: seconds and 150 MB, and the environment has to be set before it.
    from proxy.upstreams import litellm_sdk, litellm_translation  # noqa: PLC0415

    # A quarter of a million objects that stay: to look through them for garbage stops every answer for 0.1 s.
    gc.collect()
    gc.freeze()
    return Library(litellm_sdk, litellm_translation)


def _chat_request(target: Target, body: dict[str, Any]) -> dict[str, Any]:
    return {**_request(target, body, TRANSLATED), "messages": deepcopy(body.get("messages"))}


def _request(target: Target, body: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """litellm's arguments for these fields of the body. litellm changes what it is given, so it is given a copy."""
    fields = {name: deepcopy(value) for name, value in body.items() if name in names and value is not None}
    return {
        **fields,
        "model": f"{target.kind}/{target.model}",
        "custom_llm_provider": target.kind,
        "api_key": target.api_key or None,
        "api_base": target.base_url or None,
    }


def _foreign(body: dict[str, Any], translated: frozenset[str]) -> dict[str, Any]:
    """The body's fields that litellm need not see: they go to the provider as they are."""
    return {
        name: value
        for name, value in body.items()
        if name not in translated and name not in LEFT_OUT and value is not None
    }


def _answer(data: dict[str, Any]) -> Answer:
    return Answer(orjson.dumps(data), data)

"""Providers that speak OpenAI's wire: bytes pass through, so that new fields and chunk shapes survive."""

import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from proxy.upstreams.base import Answer, Event, Target
from proxy.upstreams.failures import ConnectFailed, ConnectionBroken, MalformedAnswer, TimedOut, from_response
from proxy.upstreams.sse import EventParser

MAX_ANSWER_BYTES = 64 * 1024 * 1024
IDLE_CONNECTIONS_S = 30.0


class OpenAIWire:
    """One pool of connections for all providers of this wire; belongs to the event loop that it was first used in."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def complete(self, target: Target, body: dict[str, Any]) -> Answer:
        """POST {base_url}/chat/completions. Raises UpstreamFailure."""
        return await self._whole(target, "/chat/completions", body)

    async def embed(self, target: Target, body: dict[str, Any]) -> Answer:
        """POST {base_url}/embeddings. Raises UpstreamFailure."""
        return await self._whole(target, "/embeddings", body)

    async def stream(self, target: Target, body: dict[str, Any]) -> AsyncIterator[Sequence[Event]]:
        """POST {base_url}/chat/completions with `stream`. Raises UpstreamFailure."""
        options = {**(body.get("stream_options") or {}), "include_usage": True}
        parser = EventParser()
        try:
            async with self._post(
                target, "/chat/completions", {**body, "stream": True, "stream_options": options}
            ) as answer:
                await _raise_for_status(answer)
                _require(answer, "text/event-stream")
                while data := await answer.content.readany():
                    if events := parser.feed(data):
                        yield events
                    if parser.done:
                        return
                if events := parser.end():
                    yield events
        except (aiohttp.ClientError, OSError) as error:
            raise _failure_of(error) from error

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    async def _whole(self, target: Target, path: str, body: dict[str, Any]) -> Answer:
        try:
            async with self._post(target, path, body) as answer:
                await _raise_for_status(answer)
                raw = await _read(answer)
        except (aiohttp.ClientError, OSError) as error:
            raise _failure_of(error) from error
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise MalformedAnswer("The provider answered with something that is not JSON.") from error
        if not isinstance(data, dict):
            raise MalformedAnswer("The provider answered with something that is not a JSON object.")
        return Answer(raw, data)

    def _post(
        self, target: Target, path: str, body: dict[str, Any]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {"Content-Type": "application/json"}
        if target.api_key:
            headers["Authorization"] = f"Bearer {target.api_key}"
        return self._pool().post(
            target.base_url + path,
            data=orjson.dumps(body),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=target.connect_timeout_s),
            allow_redirects=False,
            proxy=_proxy_for(target.base_url),
        )

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTIONS_S, ttl_dns_cache=30),
                # No cookies: one tenant's must never travel with another's request.
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=256 * 1024,
            )
        return self._session


@functools.lru_cache(maxsize=1024)
def _proxy_for(url: str) -> str | None:
    """Of HTTPS_PROXY, HTTP_PROXY, NO_PROXY. aiohttp would ask for it, and for ~/.netrc, in two threads a request."""
    address = urlsplit(url)
    return None if proxy_bypass(address.hostname or "") else getproxies().get(address.scheme)


async def _raise_for_status(answer: aiohttp.ClientResponse) -> None:
    if answer.status != 200:
        raise from_response(answer.status, answer.headers, await _read(answer))


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for data in answer.content.iter_any():
        raw += data
        if len(raw) > MAX_ANSWER_BYTES:
            raise MalformedAnswer("The provider answered with more than 64 MB.")
    return bytes(raw)


def _require(answer: aiohttp.ClientResponse, content_type: str) -> None:
    if answer.content_type != content_type:
        raise MalformedAnswer(f"The provider was asked for a stream and answered with {answer.content_type}.")


def _failure_of(error: Exception) -> ConnectFailed | ConnectionBroken | TimedOut:
    """Messages name no address: they reach callers, who need not know our network."""
    match error:
        case aiohttp.ConnectionTimeoutError() | aiohttp.ServerTimeoutError():
            return TimedOut("The provider did not accept the connection in time.", code="connect_timeout")
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL() | aiohttp.InvalidUrlClientError():
            return ConnectFailed("The provider could not be reached.")
        case _:
            return ConnectionBroken("The provider broke off the connection.")

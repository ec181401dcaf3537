"""The HTTP that litellm speaks, in our hands.

litellm's own client repeats a call by itself after a broken connection (which may then be billed twice), follows
redirects with our key, hides what broke behind a status 500, and keeps an abandoned stream open. Under this one a call
goes out once, every break has its name, and closing an exchange closes the provider's connection at once.
"""

from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx
import orjson
from yarl import URL

from proxy.upstreams.failures import (
    ConnectFailed,
    ConnectionBroken,
    MalformedAnswer,
    TimedOut,
    UpstreamFailure,
)

MAX_ERROR_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024

# aiohttp has undone the encoding already, and the body's length with it.
_SPENT_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
# A signature over the body (AWS, Oracle): a signed request must leave as it is.
_SIGNED = ("AWS4-HMAC", "Signature")


class Exchange:
    """One call of ours: what litellm sent for it, and what came back.

    `fields` are added to the JSON body that litellm wrote, under what it already says. `marks` are bytes of which one
    must come by before the answer counts as complete.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        connect_timeout_s: float,
        fields: Mapping[str, Any] | None = None,
        marks: tuple[bytes, ...] = (),
    ) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.error_body = b""
        self.failure: UpstreamFailure | None = None
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._fields = fields or {}
        self._marks = marks
        self._tail = b""
        self._marked = not marks
        self._answer: aiohttp.ClientResponse | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the answer came without a break, with one of its marks."""
        return self._marked and self.failure is None

    def close(self) -> None:
        """End the call: an answer that was not read to its end loses its connection."""
        if self._answer:
            self._answer.close()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Do litellm's request. Raises ConnectFailed, ConnectionBroken, TimedOut; MalformedAnswer for a redirect."""
        try:
            answer = self._answer = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                data=self._body_of(request, await request.aread()),
                headers=[(name, value) for name, value in request.headers.multi_items() if name != "content-length"],
                timeout=self._timeout,
                allow_redirects=False,
            )
            self.status, self.headers = answer.status, answer.headers
            if answer.status >= 300:
                self.error_body = await self._read_error(answer)
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(_failure_of(error)) from error
        if 300 <= answer.status < 400:
            raise self._failed(MalformedAnswer("The provider answered with a redirect.", status=answer.status))
        headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in _SPENT_HEADERS]
        if answer.status >= 400:
            return httpx.Response(answer.status, headers=headers, content=self.error_body, request=request)
        return httpx.Response(answer.status, headers=headers, stream=_Body(self), request=request)

    async def body(self) -> AsyncIterator[bytes]:
        """The answer's bytes as they arrive. Raises ConnectionBroken, or MalformedAnswer beyond 64 MB."""
        if self._answer is None:
            return
        size = 0
        try:
            async for data in self._answer.content.iter_any():
                size += len(data)
                if size > MAX_ANSWER_BYTES:
                    raise self._failed(MalformedAnswer("The provider answered with more than 64 MB."))
                self._watch(data)
                yield data
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(_failure_of(error)) from error

    def _watch(self, data: bytes) -> None:
        if not self._marked:
            window = self._tail + data
            self._marked = any(mark in window for mark in self._marks)
            self._tail = window[-64:]

    def _body_of(self, request: httpx.Request, content: bytes) -> bytes:
        is_signed = request.headers.get("authorization", "").startswith(_SIGNED)
        if not self._fields or is_signed or not content.startswith(b"{"):
            return content
        return orjson.dumps(_merge(self._fields, orjson.loads(content)))

    async def _read_error(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for data in answer.content.iter_any():
            body += data
            if len(body) > MAX_ERROR_BYTES:
                break
        answer.close()
        return bytes(body[:MAX_ERROR_BYTES])

    def _failed(self, failure: UpstreamFailure) -> UpstreamFailure:
        self.failure = failure
        return failure


# litellm makes its HTTP clients itself and shares them between calls: the call at hand is found through its context.
current_exchange: ContextVar[Exchange] = ContextVar("litellm_exchange")


class Transport(httpx.AsyncBaseTransport):
    """What httpx sends through, below every client that litellm makes."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await current_exchange.get().send(request)


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._exchange.body()

    async def aclose(self) -> None:
        self._exchange.close()


def _merge(fields: Mapping[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """Both; where they meet, what litellm has written stays, and objects are joined (Gemini's generationConfig)."""
    merged = {**fields, **written}
    for name, value in fields.items():
        if isinstance(value, dict) and isinstance(merged[name], dict):
            merged[name] = {**value, **merged[name]}
    return merged


def _failure_of(error: Exception) -> ConnectFailed | ConnectionBroken | TimedOut:
    """Messages name no address: they reach callers, who need not know our network."""
    match error:
        case aiohttp.ServerTimeoutError():
            return TimedOut("The provider did not accept the connection in time.", code="connect_timeout")
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return ConnectFailed("The provider could not be reached.")
        case _:
            return ConnectionBroken("The provider broke off the connection.")

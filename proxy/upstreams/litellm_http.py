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

from proxy.upstreams.failures import ConnectFailed, ConnectionBroken, MalformedAnswer, TimedOut
from proxy.upstreams.litellm_exchange import MAX_ERROR_BYTES, Exchange

IDLE_CONNECTIONS_S = 30.0

# aiohttp has undone the encoding already, and the body's length with it.
_SPENT_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
# A signature over the body (AWS, Oracle): a signed request must leave as it is.
_SIGNED = ("AWS4-HMAC", "Signature")


def open_session() -> aiohttp.ClientSession:
    """The connections of one event loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTIONS_S, ttl_dns_cache=30),
        # No cookies: one tenant's must never travel with another's request.
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=256 * 1024,
        trust_env=True,
    )


class ClientExchange(Exchange):
    """A call that goes out below litellm's own client."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        connect_timeout_s: float,
        fields: Mapping[str, Any],
        marks: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(connect_timeout_s=connect_timeout_s, fields=fields, marks=marks)
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._answer: aiohttp.ClientResponse | None = None

    def close(self) -> None:
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
            raise self.failed(_failure_of(error)) from error
        if 300 <= answer.status < 400:
            raise self.failed(MalformedAnswer("The provider answered with a redirect.", status=answer.status))
        headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in _SPENT_HEADERS]
        if answer.status >= 400:
            return httpx.Response(answer.status, headers=headers, content=self.error_body, request=request)
        return httpx.Response(answer.status, headers=headers, stream=_Body(self), request=request)

    async def body(self) -> AsyncIterator[bytes]:
        """The answer's bytes as they arrive. Raises ConnectionBroken, or MalformedAnswer beyond 64 MB."""
        if self._answer is None:
            return
        try:
            async for data in self._answer.content.iter_any():
                self.watch(data)
                yield data
        except (aiohttp.ClientError, OSError) as error:
            raise self.failed(_failure_of(error)) from error

    def _body_of(self, request: httpx.Request, content: bytes) -> bytes:
        is_signed = request.headers.get("authorization", "").startswith(_SIGNED)
        if not self._fields or is_signed or not content.startswith(b"{"):
            return content
        return orjson.dumps(self.merged(orjson.loads(content)))

    async def _read_error(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for data in answer.content.iter_any():
            body += data
            if len(body) > MAX_ERROR_BYTES:
                break
        answer.close()
        return bytes(body[:MAX_ERROR_BYTES])


# litellm makes its HTTP clients itself and shares them between calls: the call at hand is found through its context.
current_exchange: ContextVar[ClientExchange] = ContextVar("litellm_exchange")


class Transport(httpx.AsyncBaseTransport):
    """What httpx sends through, below every client that litellm makes."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await current_exchange.get().send(request)


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: ClientExchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._exchange.body()

    async def aclose(self) -> None:
        self._exchange.close()


def _failure_of(error: Exception) -> ConnectFailed | ConnectionBroken | TimedOut:
    """Messages name no address: they reach callers, who need not know our network."""
    match error:
        case aiohttp.ServerTimeoutError():
            return TimedOut("The provider did not accept the connection in time.", code="connect_timeout")
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return ConnectFailed("The provider could not be reached.")
        case _:
            return ConnectionBroken("The provider broke off the connection.")

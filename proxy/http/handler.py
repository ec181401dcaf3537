"""An ASGI handler for the hot routes: runs the view, watches for the caller's hang-up.

Django's own handler costs 0.6 ms and an OS thread per request in thread hops for signals and middleware that these
routes do not use. This one sends no `request_started` or `request_finished`: what uses SQL goes through
`accounts.sql.run_sql`, which gives its connection back.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from functools import lru_cache
from typing import Any, Self, cast

from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from proxy.http.asgi import EXCHANGE, Exchange, Receive, Scope, Send
from proxy.http.request import WholeRequest
from proxy.http.response import LiveResponse, set_header


class LeanHandler:
    """Serves one matched route. A hang-up cancels the view, and so the call to the provider."""

    async def __call__(self, match: ResolverMatch, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        request = WholeRequest(scope, body, match)
        function: Any = match.func  # REST framework's, which exempts from CSRF, of which nothing is checked here
        view = function.cls(**function.initkwargs)
        view.setup(request, *match.args, **match.kwargs)
        with HangUp(scope, receive) as hang_up:
            try:
                response: HttpResponseBase = await view.dispatch(request, *match.args, **match.kwargs)
                set_header(response, "x-request-id", scope["gateway.request_id"])
                if isinstance(response, LiveResponse):
                    await _send_live(response, send, scope.get(EXCHANGE))
                else:
                    await send_response(response, send, scope.get(EXCHANGE))
            except asyncio.CancelledError:
                if not hang_up.happened:  # not the caller but the server: it is stopping
                    raise
                hang_up.task.uncancel()


class HangUp:
    """Cancels the task that it is entered in when the caller hangs up.

    Our own server tells of it (`proxy.http.connection`). Of any other one only `receive` does: `send` does not fail.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.happened = False
        self.task = cast("asyncio.Task[object]", asyncio.current_task())
        self._exchange: Exchange | None = scope.get(EXCHANGE)
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._exchange:
            self._exchange.tell_of_hang_up(self._cancel)
        else:
            self._watcher = asyncio.create_task(self._watch())
        return self

    def __exit__(self, *error: object) -> None:
        if self._exchange:
            self._exchange.tell_of_hang_up(None)
        elif self._watcher:
            self._watcher.cancel()

    def _cancel(self) -> None:
        self.happened = True
        self.task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._cancel()


async def send_response(response: HttpResponseBase, send: Send, exchange: Exchange | None = None) -> None:
    """Send an answer that is all here."""
    body = b"".join(response) if not response.streaming else b""
    set_header(response, "content-length", str(len(body)))
    # Where somebody (CORS) adds to what is sent, `send` is not the exchange's own.
    own = exchange if exchange and send == exchange.send else None
    if own and own.answer_at_once(response.status_code, response.headers._store, body):
        return
    headers = _raw_headers(response.headers._store)
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_live(response: LiveResponse, send: Send, exchange: Exchange | None) -> None:
    # Not the response itself: what refers to it here is referred to by it. Both would wait for the garbage collector.
    status, headers = response.status_code, response.headers._store
    own = exchange if exchange and send == exchange.send else None
    if own:
        own.announce(status, headers)
    response.exchange = exchange
    started = False

    def write(data: bytes) -> Coroutine[Any, Any, None]:
        # The start is sent inside `pump`, which finishes its call even if the caller hangs up at this very moment.
        nonlocal started
        if not (started or (own and own.response_started)):
            started = True
            return begin(data)
        # Every server's `send` is a coroutine function, though ASGI asks for an awaitable alone.
        return cast(Coroutine[Any, Any, None], send({"type": "http.response.body", "body": data, "more_body": True}))

    async def begin(data: bytes) -> None:
        await send({"type": "http.response.start", "status": status, "headers": _raw_headers(headers)})
        await send({"type": "http.response.body", "body": data, "more_body": True})

    last = await response.pump(write)
    if exchange and exchange.end_at_once(last):
        return
    if not (started or (own and own.response_started)):
        await send({"type": "http.response.start", "status": status, "headers": _raw_headers(headers)})
    await send({"type": "http.response.body", "body": last})


def _raw_headers(headers: Mapping[str, tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """`headers`: name and value by the name in lower case, as Django keeps them."""
    return [(_raw_name(name), value.encode("latin-1")) for name, value in headers.values()]


@lru_cache(maxsize=256)
def _raw_name(name: str) -> bytes:
    return name.lower().encode("ascii")

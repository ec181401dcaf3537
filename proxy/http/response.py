"""An answer that writes itself, piece by piece, while it comes into being."""

from collections.abc import Callable, Coroutine, Mapping
from http.cookies import SimpleCookie
from typing import Any

from django.http.response import HttpResponse, HttpResponseBase, ResponseHeaders

from proxy.http.asgi import Exchange

Write = Callable[[bytes], Coroutine[Any, Any, None]]


def set_headers(response: HttpResponseBase, headers: Mapping[str, str]) -> None:
    """As Django would, at a fraction of the cost for names in lower case, and values that need no encoding."""
    values = "".join(headers.values())
    if values.isascii() and values.isprintable():
        response.headers._store.update({name: (name, value) for name, value in headers.items()})
    else:
        for name, value in headers.items():
            response.headers[name] = value


def set_header(response: HttpResponseBase, name: str, value: str) -> None:
    """One whose name is in lower case, and whose value is known to need no encoding."""
    response.headers._store[name] = (name, value)


class WholeResponse(HttpResponse):
    """One whose body and headers are ours, and all there: Django's own takes ten times as long to ask about them."""

    closed = False
    _charset = _reason_phrase = _handler_class = None

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self._container = [body]
        self._resource_closers: list[Callable[[], None]] = []
        self.cookies = SimpleCookie()
        self.headers = ResponseHeaders({})
        set_headers(self, headers)


def never(data: bytes) -> bool:
    return False


class LiveResponse(HttpResponseBase):
    """The lean handler calls `pump` with the means to write, and cancels it where the caller hangs up.

    Status and headers go out with the first piece. The response ends when `pump` returns, so its end is always its
    own to see (an async generator's `finally` is not).
    """

    streaming = True
    # What our own server can do beyond ASGI, set by the handler. None with any other one, and for an answer that
    # another one records: it must not write past that.
    exchange: Exchange | None = None

    async def pump(self, write: Write) -> bytes:
        """Write all but the last piece, which may be b"", and return that: it goes out with the end of the response."""
        raise NotImplementedError


EVENT_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class EventStreamResponse(LiveResponse):
    """One of server-sent events. As `WholeResponse`, past Django's own beginning; names of headers in lower case."""

    closed = False
    _charset = _reason_phrase = _handler_class = None

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._resource_closers: list[Callable[[], None]] = []
        self.cookies = SimpleCookie()
        self.headers = ResponseHeaders({})
        set_headers(self, {**EVENT_STREAM, **headers})


class WrittenEventStream(EventStreamResponse):
    """One whose events are all there."""

    def __init__(self, events: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self._events = events

    async def pump(self, write: Write) -> bytes:
        return self._events

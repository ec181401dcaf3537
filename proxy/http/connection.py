"""A caller's connection: uvicorn's, with what it leaves open.

A head (request line and headers) has a time and a size, and is followed by nothing that counts as one of its headers. A
body that breaks off is told to the application, which can still answer. What is not HTTP is refused in the contract's
form, after the answers that are due.

HeadTooSlow     408   request_timeout
NotHTTP         400   not_http
HeadTooLarge    431   headers_too_large
"""

import asyncio
import re
import time
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveEvent,
    ASGISendEvent,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
)
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from accounts.errors import InvalidRequest, error_response
from proxy.call import new_request_id
from proxy.http.asgi import Scope
from proxy.http.handler import HANG_UP
from proxy.http.view import with_gateway_headers

HEAD_TIMEOUT_S = 15.0
# Of what is neither body nor a whole head: headers, trailers, framing of chunks.
LARGEST_HEAD_BYTES = 256 * 1024


# Requests of one connection that wait for the answer to an earlier one.
MOST_WAITING = 8
# Headers that say how an answer ends.
SPECIAL = frozenset({b"content-length", b"transfer-encoding", b"connection"})
SPECIAL_LENGTHS = frozenset(map(len, SPECIAL))
FORBIDDEN = re.compile(rb"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class HeadTooSlow(InvalidRequest):
    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"


class NotHTTP(InvalidRequest):
    code = "not_http"


class HeadTooLarge(InvalidRequest):
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"


class Exchange(RequestResponseCycle):
    """One request and its answer."""

    body_broke_off = False
    ends_with_the_connection = False
    _head: HTTPResponseStartEvent | None = None
    _told_of_hang_up: Callable[[], None] | None = None

    def tell_of_hang_up(self, told: Callable[[], None] | None) -> None:
        """Call this when the caller is gone: cheaper than a task that waits in `receive`."""
        self._told_of_hang_up = told
        if self.disconnected and told:
            told()

    async def send(self, message: ASGISendEvent) -> None:
        """As uvicorn's. A head leaves with the first piece of the body, in one write; a further piece at a third of the
        cost.
        """
        if self.chunked_encoding and message.get("more_body"):
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            body = cast(bytes, message.get("body", b""))
            if body and not self.disconnected:
                self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        elif message["type"] == "http.response.start" and not self.response_started:
            self._head = message
        elif message["type"] == "http.response.body" and self._head:
            await self._begin(self._head, message)
        else:
            await super().send(message)

    async def _begin(self, head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> None:
        self._head = None
        lines = self._plain_head(head) if message.get("body") else None
        if lines is None:
            await super().send(head)
            await super().send(message)
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        transport, self.transport = self.transport, cast(asyncio.Transport, Joined(self.transport, lines))
        try:
            await super().send(message)
        finally:
            self.transport = transport

    def _plain_head(self, head: HTTPResponseStartEvent) -> bytes | None:
        """The head's bytes, checked as a whole; None where uvicorn should look at each header."""
        headers = [*self.default_headers, *head.get("headers", ())]
        length = None
        for name, value in headers:
            if len(name) in SPECIAL_LENGTHS and (special := name.lower()) in SPECIAL:
                if special != b"content-length":
                    return None
                length = int(value)
        if self.scope["method"] == "HEAD" or head["status"] in {204, 304}:
            return None
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        if lines.count(b"\n") != len(headers) or FORBIDDEN.search(lines):
            return None
        self.chunked_encoding = length is None
        self.expected_content_length = length or 0
        framing = b"transfer-encoding: chunked\r\n" if length is None else b""
        closing = b"" if self.keep_alive else b"connection: close\r\n"
        return b"%b%b%b%b\r\n" % (STATUS_LINE[head["status"]], lines, closing, framing)

    def break_off(self) -> None:
        """The body will not be whole; an answer can still be sent."""
        self.body_broke_off = True
        self.keep_alive = False
        self.message_event.set()

    def hang_up(self) -> None:
        """The caller is gone."""
        self.disconnected = True
        self.message_event.set()
        if self._told_of_hang_up:
            self._told_of_hang_up()

    async def run_asgi(self, app: ASGI3Application) -> None:
        async def until_stopped(*arguments: Any) -> None:
            try:
                await app(*arguments)
            except asyncio.CancelledError:  # the server ends what did not end by itself: nothing to report
                self.hang_up()
                self.transport.close()

        await super().run_asgi(until_stopped)

    async def receive(self) -> ASGIReceiveEvent:
        message: ASGIReceiveEvent = {"type": "http.disconnect"}
        if not self.body_broke_off:
            message = await super().receive()
        return {"type": "http.disconnect"} if self.body_broke_off else message


class Joined:
    """A transport that puts a head before the first piece that it writes."""

    def __init__(self, transport: asyncio.Transport, head: bytes) -> None:
        self._transport = transport
        self._head = head

    def write(self, data: bytes) -> None:
        self._transport.write(self._head + data)
        self._head = b""

    def close(self) -> None:
        self._transport.close()


class OldExchange(Exchange):
    """With HTTP/1.0, which knows no chunks: an answer of unknown length ends with the connection."""

    def _plain_head(self, head: HTTPResponseStartEvent) -> None:
        return None

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            lengthless = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            if lengthless:
                self.ends_with_the_connection = True
                self.chunked_encoding = False
        elif message["type"] == "http.response.body" and self.ends_with_the_connection:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class Connection(HttpToolsProtocol):
    """Reads requests, and has the application answer them one after the other."""

    cycle: Exchange

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answering: Exchange | None = None
        self._refusal: InvalidRequest | None = None
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._unframed_bytes = 0
        self._made_progress = False

    # What the transport says

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._refusal:
            return
        self._made_progress = False
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(NotHTTP("What came is not a request of HTTP/1.1. Check what builds it, then send it again."))
            return
        self._unframed_bytes = 0 if self._made_progress else self._unframed_bytes + len(data)
        if self._unframed_bytes > LARGEST_HEAD_BYTES:
            self._refuse(
                HeadTooLarge(f"Headers may have {LARGEST_HEAD_BYTES // 1024} KB. Send fewer, or shorter ones.")
            )
        elif self._in_head and self._is_idle():
            self._start_head_timer()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own asks for a bool
        """Without its end a body is broken; otherwise the caller hangs up. True keeps the way back open."""
        if self._is_idle() or not self.cycle.more_body:
            return False
        self.cycle.break_off()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        self._stop_head_timer()
        if self._answering and not self._answering.response_complete:
            self._answering.hang_up()
        super().connection_lost(exc)

    def _parse(self, data: bytes) -> None:
        """An offer to speak another protocol is declined: the parser would take the body for that protocol's."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                headers = b"".join(b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade")
                data = (
                    b"%s %s HTTP/1.1\r\n%s\r\n" % (self.parser.get_method(), self.url, headers) + data[offer.args[0] :]
                )
                self.parser = _parser(self)
            else:
                return

    # What the parser says

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer must not pass for a header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_offer():
            return
        self._in_head, self._made_progress = False, True
        self._stop_head_timer()
        self._complete_scope()
        self.cycle = self._exchange()
        if self._is_idle():
            self._start_asgi_task(self.cycle, self.app)
        else:
            if len(self.pipeline) >= MOST_WAITING:  # not before: who does not read sees no hang-up
                self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._made_progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_offer():
            return
        self._in_head, self._made_progress = True, True
        super().on_message_complete()

    def _is_offer(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _complete_scope(self) -> None:
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope["http_version"] = self.parser.get_http_version()
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        self.scope["raw_path"] = url.path
        self.scope["query_string"] = url.query or b""

    def _exchange(self) -> Exchange:
        is_old = self.scope["http_version"] < "1.1"
        exchange = (OldExchange if is_old else Exchange)(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=not is_old and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cast(Scope, self.scope)[HANG_UP] = exchange.tell_of_hang_up
        return exchange

    # What the exchanges say

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cast(Exchange, cycle)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or not self._is_idle():
            return
        if self._refusal:
            self._send_refusal(self._refusal)
        elif self.cycle.more_body:  # whatever else came of the body would have no limit of time
            self.transport.close()

    def _is_idle(self) -> bool:
        return self._answering is None or self._answering.response_complete

    # Refusals

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._end_of_patience)

    def _stop_head_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_of_patience(self) -> None:
        if self._unframed_bytes:
            self._refuse(HeadTooSlow(f"The headers did not arrive within {HEAD_TIMEOUT_S:g} seconds. Send them again."))
        else:
            self.transport.close()

    def _refuse(self, refusal: InvalidRequest) -> None:
        """Now, or after the answers that are due. A request whose body is under way is told, and answers itself."""
        self._refusal = refusal
        if self._is_idle():
            self._send_refusal(refusal)
        elif self.cycle.more_body:
            self.cycle.break_off()

    def _send_refusal(self, refusal: InvalidRequest) -> None:
        if self.transport.is_closing():
            return
        response = error_response(refusal, new_request_id())
        with_gateway_headers(response, time.perf_counter())
        response.headers["Content-Length"] = str(len(response.content))
        response.headers["Connection"] = "close"
        headers = [*self.server_state.default_headers, *((k.encode(), v.encode()) for k, v in response.headers.items())]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[response.status_code] + lines + b"\r\n" + response.content)
        self.transport.close()


def _parser(connection: Connection) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own: to answer before it closes
    return parser

"""A caller's connection: uvicorn's, with what it leaves open.

A head (request line and headers) has a time and a size, and is followed by nothing that counts as one of its headers. A
body that breaks off is told to the application, which can still answer. What is not HTTP is refused in the contract's
form, after the answers that are due.

HeadTooSlow     408   request_timeout
NotHTTP         400   not_http
HeadTooLarge    431   headers_too_large
"""

import asyncio
import logging
import time
import urllib.parse
from collections import deque
from http import HTTPStatus
from typing import Any, cast

import httptools
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from accounts.errors import InvalidRequest, error_response
from proxy.call import new_request_id
from proxy.http.asgi import EXCHANGE, Scope
from proxy.http.exchange import Exchange, OldExchange
from proxy.http.view import with_gateway_headers

HEAD_TIMEOUT_S = 15.0
# Of what is neither body nor a whole head: headers, trailers, framing of chunks.
LARGEST_HEAD_BYTES = 256 * 1024
# Requests of one connection that wait for the answer to an earlier one.
MOST_WAITING = 8


class HeadTooSlow(InvalidRequest):
    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"


class NotHTTP(InvalidRequest):
    code = "not_http"


class HeadTooLarge(InvalidRequest):
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"


class Connection(HttpToolsProtocol):
    """Reads requests, and has the application answer them one after the other."""

    # What uvicorn sets for each, and none of ours has.
    logger = logging.getLogger("uvicorn.error")
    ws_protocol_class = timeout_keep_alive_task = None
    cycle: Exchange = None  # type: ignore[assignment]  # as uvicorn has it, before the first request

    def __init__(  # not uvicorn's own, which asks for two loggers, and what becomes of what is logged
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.app = config.loaded_app
        self.loop = _loop or asyncio.get_running_loop()
        self.parser = _parser(self)
        self.root_path = config.root_path
        self.asgi_version = config.asgi_version
        self.app_state = app_state
        self.timeout_keep_alive = config.timeout_keep_alive
        self.server_state = server_state
        self.connections = server_state.connections
        self.tasks = server_state.tasks
        self.pipeline = deque()
        self.headers = []
        self.expect_100_continue = False
        self._answering: Exchange | None = None
        self._refusal: InvalidRequest | None = None
        self._in_head = True
        self._head_since: float | None = None
        self._unframed_bytes = 0
        self._made_progress = False
        self._idle_since: float | None = None

    # What the transport says

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self._head_since = self.loop.time()
        self.server, self.client = addresses(transport)
        self.scheme = "http"  # whatever ends TLS before it tells of it in a header

    def data_received(self, data: bytes) -> None:
        self._idle_since = None
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
        elif self._in_head and self._head_since is None and self._is_idle():
            self._head_since = self.loop.time()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own asks for a bool
        """Without its end a body is broken; otherwise the caller hangs up. True keeps the way back open."""
        if self._is_idle() or not self.cycle.more_body:
            return False
        self.cycle.break_off()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._answering:
            self._answering.stop_chunks()

    def connection_lost(self, exc: Exception | None) -> None:
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
        if not self._in_head:  # a trailer must not pass for a header
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":  # a tunnel, of which nothing would be HTTP
            raise httptools.HttpParserCallbackError
        if self.parser.should_upgrade():
            return
        self._in_head, self._made_progress = False, True
        self._head_since = None
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
        if self.parser.should_upgrade():
            return
        self._in_head, self._made_progress = True, True
        super().on_message_complete()

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
            self.scope,
            self.transport,
            self.flow,
            self.server_state.default_headers,
            self.on_response_complete,
            not is_old and self.parser.should_keep_alive(),
            self.expect_100_continue,
        )
        cast(Scope, self.scope)[EXCHANGE] = exchange
        return exchange

    # What the exchanges say

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cast(Exchange, cycle)
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal:
            self._send_refusal(self._refusal)
        elif self.cycle.more_body:  # whatever else came of the body would have no limit of time
            self.transport.close()
        else:
            self._idle_since = self.loop.time()

    # What the server says

    def look(self, now: float) -> None:
        """End what has waited too long for a head, or for a further request. uvicorn has a timer for each."""
        if self._head_since is not None and now - self._head_since >= HEAD_TIMEOUT_S:
            self._head_since = None
            self._end_of_patience()
        elif self._idle_since is not None and now - self._idle_since >= self.timeout_keep_alive:
            self._idle_since = None
            self.transport.close()

    def _is_idle(self) -> bool:
        return self._answering is None or self._answering.response_complete

    # Refusals

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


def addresses(transport: asyncio.Transport) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
    """Of ourselves and of the caller, host and port; None where there is none, or the caller has left already."""
    ours, callers = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    are_of_internet = isinstance(ours, tuple) and isinstance(callers, tuple)
    return (ours[:2], callers[:2]) if are_of_internet else (None, None)


def _parser(connection: Connection) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own: to answer before it closes
    return parser

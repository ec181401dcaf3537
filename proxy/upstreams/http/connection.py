"""One connection to a provider.

Bytes that arrive are parsed where they arrive, in the protocol's callback, and given to the answer that is under way.
"""

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httptools

from proxy.upstreams.failures import ConnectionBroken, MalformedAnswer, UpstreamFailure
from proxy.upstreams.http.response import Response, Shortcut

# Of the head, of trailers, and of whatever else comes without a byte of the body.
MAX_HEADER_BYTES = 64 * 1024
# For the end of an answer that has said all that matters.
LAST_WORDS_S = 1.0

BROKEN_OFF = "The provider broke off the connection."


class Connection(asyncio.Protocol):
    """Carries one request at a time. `retire` is told when it carries none any more: whether it can carry another."""

    def __init__(self, loop: asyncio.AbstractEventLoop, retire: "Callable[[Connection, bool], None]") -> None:
        self.loop = loop
        self.idle_since = 0.0
        self._retire = retire
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._unread_by_loop = select.poll()
        self._bytes_since_body = 0
        self._is_after_chunk = False
        self._shortcut: Shortcut | None = None
        self._is_informational = False
        self._ends_with_connection = False
        self._may_be_kept = False
        self._last_words: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Open, and nothing waits in the socket: what would be there belongs to no request of ours, or is the end.

        The loop may not have come round to it yet, and the next request would take it for its answer.
        """
        return self.is_open and not self._unread_by_loop.poll(0)

    def send(self, request: bytes) -> Response:
        """Write a whole request; returns its answer, of which nothing is here yet. Raises ConnectionBroken."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionBroken(BROKEN_OFF)
        self._response = response = Response(self)
        self._bytes_since_body = 0
        self._ends_with_connection = False
        self._may_be_kept = False
        transport.write(request)
        return response

    def carries(self, response: Response) -> bool:
        return self._response is response

    def divert(self, shortcut: Shortcut) -> None:
        """Have it read what arrives until the answer is left."""
        if self._transport:
            shortcut.otherwise = self.data_received
            self._shortcut = shortcut
            self.data_received = shortcut.read  # type: ignore[method-assign]  # without a call on the way
            self._transport.set_protocol(self)  # uvloop keeps the method

    def _end_diversion(self) -> None:
        self._shortcut = None
        del self.data_received
        if self._transport:
            self._transport.set_protocol(self)

    def leave(self, response: Response) -> None:
        """The reader has had enough of this answer."""
        if self._response is not response:
            return
        self._response = None
        if self._shortcut:
            self._end_diversion()
        if self._last_words:
            self._last_words.cancel()
            self._last_words = None
        if is_reusable := self._may_be_kept and self._is_request_written():
            self.resume()
        else:
            self.abort()
            response.end(ConnectionBroken("The answer was closed before its end."))
        self._retire(self, is_reusable)

    def leave_at_end(self, response: Response) -> None:
        """Leave the answer when it has ended, which it should do within a moment."""
        if self._response is response and self.is_open and not self._may_be_kept:
            self.resume()
            self._last_words = self.loop.call_later(LAST_WORDS_S, self.leave, response)
        else:
            self.leave(response)

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def _is_request_written(self) -> bool:
        """A server that answered early may take the rest of the request for the next one."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and not transport.get_write_buffer_size()

    def pause(self) -> None:
        if self._transport and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport and not self._transport.is_reading():
            self._transport.resume_reading()

    # ---- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._unread_by_loop.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or self._may_be_kept:  # nobody asked for this: whose answer it is cannot be known
            self.abort()
            return
        self._bytes_since_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(MalformedAnswer("The provider answered with something that is not HTTP."))
            return
        if self._bytes_since_body > MAX_HEADER_BYTES:
            self._fail(MalformedAnswer("The provider answered with headers of more than 64 KB."))
        # Where the size of the next chunk is here, or a piece of it, this does not end in two ends of a line.
        if self._shortcut and not (self._is_after_chunk and data.endswith(b"\n\r\n")):
            self._shortcut.close()

    def eof_received(self) -> None:
        """The answer is over; the transport closes itself, which takes as long as the request is being written."""
        if self._response:
            self._response.end(None if self._ends_with_connection else ConnectionBroken(BROKEN_OFF))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if response := self._response:
            response.end(ConnectionBroken(BROKEN_OFF))
            if self._last_words:
                self.leave(response)

    def _fail(self, failure: UpstreamFailure) -> None:
        if self._response:
            self._response.end(failure)
        self.abort()

    # ---- httptools' parser: goes on to the end of what it was fed, also after a failure ------------------------------

    def on_message_begin(self) -> None:
        if self._may_be_kept:
            raise httptools.HttpParserCallbackError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self._response
        if response and not response.status:  # else it is a trailer, which is no header (RFC 9110, 6.5.1)
            response.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not (response := self._response):
            return
        status, headers = self._parser.get_status_code(), response.headers
        self._is_informational = 100 <= status < 200
        if self._is_informational:
            headers.clear()
            return
        if status < 100:
            self._fail(MalformedAnswer("The provider answered with a status that HTTP does not have."))
            return
        encodings = headers.get("content-encoding", ""), headers.get("transfer-encoding", "chunked")
        if encodings[0].lower() not in {"", "identity"} or encodings[1].lower() != "chunked":
            self._fail(MalformedAnswer("The provider answered in an encoding that it was not asked for."))
            return
        self._ends_with_connection = "content-length" not in headers and "transfer-encoding" not in headers
        response.status = status
        response.wake()

    def on_body(self, data: bytes) -> None:
        self._bytes_since_body = 0
        self._is_after_chunk = False
        if response := self._response:
            response.add(data)

    def on_chunk_complete(self) -> None:
        self._is_after_chunk = True

    def on_message_complete(self) -> None:
        self._is_after_chunk = False
        response = self._response
        if response is None or self._is_informational:
            return
        self._may_be_kept = self._parser.should_keep_alive()
        response.end()
        if not self._may_be_kept:
            self.abort()
        if self._last_words:
            self.leave(response)

"""One request of a caller's connection and its answer: uvicorn's, faster where answers are ours."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import cast

from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveEvent,
    ASGISendEvent,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
)
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from proxy.http.asgi import EXCHANGE, Scope

# Headers that say how an answer ends.
SPECIAL = frozenset({b"content-length", b"transfer-encoding", b"connection"})
SPECIAL_LENGTHS = frozenset(map(len, SPECIAL))
# The same, but for the length.
FRAMING = frozenset({"transfer-encoding", "connection"})
BODILESS = frozenset({204, 304})
# Control characters other than the tab and those that end a line.
FORBIDDEN = bytes({*range(0x20), 0x7F} - {*b"\t\r\n"})
# For bytes.translate: what a line may hold stays as it is.
OF_A_LINE = bytes(ord("?") if code in {*FORBIDDEN, *b"\r\n"} else code for code in range(256))


class Exchange(RequestResponseCycle):
    """One request and its answer."""

    # What uvicorn sets for each.
    logger = logging.getLogger("uvicorn.error")
    access_log = False
    disconnected = response_started = response_complete = False
    more_body = True
    chunked_encoding: bool | None = None
    expected_content_length = 0
    # What it knows nothing of.
    body_broke_off = False
    ends_with_the_connection = False
    _head: HTTPResponseStartEvent | None = None
    _told_of_hang_up: Callable[[], None] | None = None
    _stop_chunks: Callable[[], None] | None = None
    _announced: tuple[int, Mapping[str, tuple[str, str]]] | None = None

    def __init__(  # not uvicorn's own, which is given eleven arguments by name
        self,
        scope: HTTPScope,
        transport: asyncio.Transport,
        flow: FlowControl,
        default_headers: list[tuple[bytes, bytes]],
        on_response: Callable[[], None],
        keep_alive: bool,
        expect_100_continue: bool,
    ) -> None:
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self.default_headers = default_headers
        self.on_response = on_response
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expect_100_continue
        self.message_event = asyncio.Event()
        self.body = bytearray()
        self.takes_chunks = False

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
            self.takes_chunks = False  # this is the end, or there were none
            await super().send(message)

    def announce(self, status: int, headers: Mapping[str, tuple[str, str]]) -> None:
        """The head of an answer in pieces, to be written at once with the first of them.

        `headers`: name and value by the name in lower case, as Django keeps them.
        """
        self._announced = status, headers

    @property
    def waits_for_caller(self) -> bool:
        """Whether more can only be written when a slow caller has read, or not at all."""
        return self.flow.write_paused or self.disconnected

    def write_at_once(self, data: bytes) -> bool:
        """Write a piece, if nothing has to be waited for, without a coroutine. Says whether it did."""
        if self._announced:
            return self._begin_at_once(*self._announced, data)
        return self._write_chunk(b"%x\r\n%b\r\n" % (len(data), data))

    def chunk_writer(self, stop: Callable[[], None]) -> asyncio.WriteTransport | None:
        """What to write further pieces to, framed (RFC 9112, 7.1); None while something has to be waited for.

        Use it until `stop` is called, because the caller reads slowly or is gone, or to the end of the answer.
        """
        if not self.takes_chunks or self.flow.write_paused:
            return None
        self._stop_chunks = stop
        return self.transport

    def stop_chunks(self) -> None:
        """Whoever writes chunks must not go on."""
        if self._stop_chunks:
            self._stop_chunks()

    def _write_chunk(self, chunk: bytes) -> bool:
        if not self.takes_chunks or self.flow.write_paused:
            return False
        self.transport.write(chunk)
        return True

    def end_at_once(self, data: bytes) -> bool:
        """Write the last piece, which may be b"", in the same way, and end the answer."""
        if self._announced:
            return self._begin_at_once(*self._announced, data, is_whole=True)
        if not self._write_chunk(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"):
            return False
        self._complete()
        return True

    def answer_at_once(self, status: int, headers: Mapping[str, tuple[str, str]], body: bytes) -> bool:
        """Write a whole answer, if nothing has to be waited for, without a coroutine. Says whether it did.

        `headers`: name and value by the name in lower case, as Django keeps them, with the length of the body.
        """
        head = self._head_at_once(status, headers) if body else None
        if head is None:
            return False
        self.transport.write(b"%b\r\n\r\n%b" % (head, body))
        self._complete()
        return True

    def _begin_at_once(
        self, status: int, headers: Mapping[str, tuple[str, str]], data: bytes, *, is_whole: bool = False
    ) -> bool:
        """The same for the first piece of an answer of unknown length. It is tried once: then `send` begins."""
        self._announced = None
        head = self._head_at_once(status, headers) if data and "content-length" not in headers else None
        if head is None:
            return False
        end = b"0\r\n\r\n" if is_whole else b""
        chunk = b"\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n%b" % (len(data), data, end)
        self.transport.write(head + chunk)
        self.chunked_encoding, self.takes_chunks = True, not is_whole
        if is_whole:
            self._complete()
        return True

    def _head_at_once(self, status: int, headers: Mapping[str, tuple[str, str]]) -> bytes | None:
        """A head without its framing and its last ends of lines; None if it is an odd one, or has to wait."""
        is_odd = self.scope["method"] == "HEAD" or status in BODILESS or not FRAMING.isdisjoint(headers)
        if is_odd or self.response_started or self.waits_for_caller:
            return None
        lines = [f"{name}: {value}" for name, (_, value) in headers.items()]
        checked = "".join(lines).encode("latin-1")
        if checked != checked.translate(OF_A_LINE):
            return None
        self.response_started = True
        self.waiting_for_100_continue = False
        ours = [b"%b: %b\r\n" % header for header in self.default_headers]
        closing = b"" if self.keep_alive else b"\r\nconnection: close"
        return b"".join((STATUS_LINE[status], *ours, "\r\n".join(lines).encode("latin-1"), closing))

    async def _begin(self, head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> None:
        self._head = self._announced = None
        body, is_whole = message.get("body", b""), not message.get("more_body", False)
        lines = self._plain_head(head) if body else None
        if lines is None or not (self.chunked_encoding or self.expected_content_length == len(body)):
            await super().send(head)
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        self.expected_content_length = 0
        if self.chunked_encoding:
            body = b"%x\r\n%b\r\n%b" % (len(body), body, b"0\r\n\r\n" if is_whole else b"")
        self.transport.write(lines + body)
        self.takes_chunks = bool(self.chunked_encoding) and not is_whole
        if is_whole:
            self._complete()

    def _complete(self) -> None:
        """As at the end of uvicorn's `send`."""
        self.takes_chunks = False
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _plain_head(self, head: HTTPResponseStartEvent) -> bytes | None:
        """The head's bytes, checked as a whole; None where uvicorn should look at each header."""
        headers = [*self.default_headers, *head.get("headers", ())]
        length = None
        for name, value in headers:
            if len(name) in SPECIAL_LENGTHS and (special := name.lower()) in SPECIAL:
                if special != b"content-length":
                    return None
                length = int(value)
        if self.scope["method"] == "HEAD" or head["status"] in BODILESS:
            return None
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        checked = lines.replace(b"\r\n", b"")
        if len(checked) + 2 * len(headers) != len(lines) or checked != checked.translate(OF_A_LINE):
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
        self.takes_chunks = False
        self.stop_chunks()
        self.message_event.set()
        if self._told_of_hang_up:
            self._told_of_hang_up()

    async def run_asgi(self, app: ASGI3Application) -> None:
        """As uvicorn's, in one coroutine. What the server ends did not end by itself: nothing to report."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.hang_up()
            self.transport.close()
        except Exception:
            self.logger.exception("Exception in ASGI application")
            await self._fail()
        else:
            if not self.response_complete and not self.disconnected:
                self.logger.error("ASGI callable returned without completing response.")
                await self._fail()
        finally:
            # Nothing refers to itself by way of these any more: it need not wait for the garbage collector.
            self.on_response = _nothing
            self._stop_chunks = None
            cast(Scope, self.scope).pop(EXCHANGE, None)

    async def _fail(self) -> None:
        if self.response_started:
            self.transport.close()
        else:
            await self.send_500_response()

    def body_at_hand(self) -> bytes | None:
        """The body, if all of it is here; None if it is to be received."""
        if self.more_body or self.waiting_for_100_continue or self.disconnected or self.body_broke_off:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.message_event.clear()
        self.flow.resume_reading()
        return body

    async def receive(self) -> ASGIReceiveEvent:
        message: ASGIReceiveEvent = {"type": "http.disconnect"}
        if not self.body_broke_off:
            message = await super().receive()
        return {"type": "http.disconnect"} if self.body_broke_off else message


def _nothing() -> None:
    pass


class OldExchange(Exchange):
    """With HTTP/1.0, which knows no chunks: an answer of unknown length ends with the connection."""

    def announce(self, status: int, headers: Mapping[str, tuple[str, str]]) -> None:
        """It leaves by `send`."""

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

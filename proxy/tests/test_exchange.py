"""What a caller's connection is given to write, piece by piece."""

import asyncio
from typing import Any, cast

import pytest

from proxy.http.exchange import Exchange, OldExchange

JSON = (b"content-type", b"application/json")


class Wire:
    """A transport that remembers each write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True


class Flow:
    write_paused = False

    def __init__(self) -> None:
        self.has_room = asyncio.Event()

    async def drain(self) -> None:
        await self.has_room.wait()

    def resume_reading(self) -> None:
        pass


def exchange(kind: type[Exchange] = Exchange, *, method: str = "POST", keep_alive: bool = True) -> Exchange:
    return kind(
        cast(Any, {"type": "http", "method": method}),
        cast(Any, Wire()),
        cast(Any, Flow()),
        [(b"date", b"today")],
        lambda: None,
        keep_alive,
        expect_100_continue=False,
    )


async def answered(answer: Exchange, headers: list[tuple[bytes, bytes]], *pieces: bytes, status: int = 200) -> Wire:
    wire = cast(Wire, answer.transport)
    await answer.send({"type": "http.response.start", "status": status, "headers": headers})
    for number, piece in enumerate(pieces, 1):
        more = number < len(pieces)
        await answer.send({"type": "http.response.body", "body": piece, "more_body": more})
    return wire


async def test_a_head_and_its_body_leave_in_one_write():
    wire = await answered(exchange(), [JSON, (b"content-length", b"2")], b"{}")
    head = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    assert wire.written == [head + b"{}"]


async def test_an_answer_of_unknown_length_comes_in_chunks():
    first, *others = (await answered(exchange(), [JSON], b"one", b"two", b"")).written
    assert first.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n")
    assert others == [b"3\r\ntwo\r\n", b"0\r\n\r\n"]


async def test_a_connection_that_ends_says_so():
    wire = await answered(exchange(keep_alive=False), [(b"content-length", b"2")], b"{}")
    assert b"\r\nconnection: close\r\n" in wire.written[0]
    assert wire.is_closed


async def test_a_head_is_asked_for_without_its_body():
    wire = await answered(exchange(method="HEAD"), [(b"content-length", b"2")], b"{}")
    assert b"".join(wire.written).endswith(b"content-length: 2\r\n\r\n")


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_header_that_would_become_two_is_refused(value: bytes):
    answer = exchange()
    with pytest.raises(RuntimeError, match="Invalid HTTP header"):
        await answered(answer, [(b"x-name", value)], b"{}")
    assert cast(Wire, answer.transport).written == []


async def test_a_length_that_is_not_kept_is_a_mistake():
    with pytest.raises(RuntimeError, match="longer"):
        await answered(exchange(), [(b"content-length", b"1")], b"{}")


async def test_whoever_reads_slowly_is_waited_for():
    answer = exchange()
    wire = cast(Wire, answer.transport)
    await answer.send({"type": "http.response.start", "status": 200, "headers": [JSON]})
    await answer.send({"type": "http.response.body", "body": b"one", "more_body": True})
    answer.flow.write_paused = True
    waiting = asyncio.ensure_future(answer.send({"type": "http.response.body", "body": b"two", "more_body": True}))
    await asyncio.sleep(0)
    assert (len(wire.written), waiting.done()) == (1, False)
    cast(Flow, answer.flow).has_room.set()
    await waiting
    assert len(wire.written) == 2


async def test_nothing_is_written_to_a_caller_who_is_gone():
    answer = exchange()
    await answer.send({"type": "http.response.start", "status": 200, "headers": [JSON]})
    await answer.send({"type": "http.response.body", "body": b"one", "more_body": True})
    answer.hang_up()
    await answer.send({"type": "http.response.body", "body": b"two", "more_body": True})
    assert len(cast(Wire, answer.transport).written) == 1


async def test_an_old_caller_gets_no_chunks():
    wire = await answered(exchange(OldExchange, keep_alive=False), [JSON], b"one", b"two", b"")
    assert b"chunked" not in wire.written[0]
    assert b"".join(wire.written).endswith(b"\r\n\r\nonetwo")


async def test_a_hang_up_is_told_once_to_whoever_wants_to_know():
    answer, told = exchange(), list[str]()
    answer.tell_of_hang_up(lambda: told.append("gone"))
    answer.hang_up()
    assert told == ["gone"]
    answer.tell_of_hang_up(None)
    answer.hang_up()
    assert told == ["gone"]


async def test_a_hang_up_that_was_before_is_told_at_once():
    answer, told = exchange(), list[str]()
    answer.hang_up()
    answer.tell_of_hang_up(lambda: told.append("gone"))
    assert told == ["gone"]


STREAM = (b"content-type", b"text/event-stream")


async def test_a_further_piece_of_a_stream_is_written_at_once():
    answer = exchange()
    await answer.send({"type": "http.response.start", "status": 200, "headers": [STREAM]})
    assert not answer.write_at_once(b"too early")
    await answer.send({"type": "http.response.body", "body": b"first", "more_body": True})
    assert answer.write_at_once(b"second")
    assert cast(Wire, answer.transport).written[1:] == [b"6\r\nsecond\r\n"]


async def test_a_piece_is_not_written_at_once_to_a_caller_who_reads_slowly_or_is_gone():
    answer = exchange()
    await answer.send({"type": "http.response.start", "status": 200, "headers": [STREAM]})
    await answer.send({"type": "http.response.body", "body": b"first", "more_body": True})
    cast(Any, answer.flow).write_paused = True
    assert not answer.write_at_once(b"second")
    cast(Any, answer.flow).write_paused = False
    answer.hang_up()
    assert not answer.write_at_once(b"second")
    assert len(cast(Wire, answer.transport).written) == 1


async def test_an_answer_of_known_length_has_no_pieces_to_write_at_once():
    answer = exchange()
    await answer.send({"type": "http.response.start", "status": 200, "headers": [JSON, (b"content-length", b"4")]})
    await answer.send({"type": "http.response.body", "body": b"{}", "more_body": True})
    assert not answer.write_at_once(b"{}")


async def test_a_short_answer_that_goes_out_with_its_head_is_complete():
    told: list[str] = []
    answer = exchange(keep_alive=False)
    answer.on_response = lambda: told.append("complete")
    wire = await answered(answer, [JSON, (b"content-length", b"2")], b"{}")
    assert len(wire.written) == 1
    assert wire.is_closed
    assert answer.response_complete
    assert told == ["complete"]


async def test_an_answer_with_more_or_less_than_it_announced_is_an_error():
    for said in (b"{", b"{  }"):
        with pytest.raises(RuntimeError, match="Content-Length"):
            await answered(exchange(), [JSON, (b"content-length", b"2")], said)


HEADERS = {"content-type": ("Content-Type", "application/json"), "content-length": ("content-length", "2")}


async def test_a_whole_answer_is_written_at_once():
    answer = exchange(keep_alive=False)
    assert answer.answer_at_once(200, HEADERS, b"{}")
    wire = cast(Wire, answer.transport)
    head = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
    assert wire.written == [head + b"connection: close\r\n\r\n{}"]
    assert wire.is_closed
    assert answer.response_complete


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b=c", "a\nb", "a\rb", "a\0b", "a\x7fb"])
async def test_an_answer_with_a_header_that_would_become_two_is_not_written_at_once(value: str):
    answer = exchange()
    assert not answer.answer_at_once(200, {**HEADERS, "x-name": ("x-name", value)}, b"{}")
    assert not answer.answer_at_once(200, {**HEADERS, value: (value, "1")}, b"{}")
    assert cast(Wire, answer.transport).written == []


async def test_what_is_no_plain_answer_is_not_written_at_once():
    slow, gone = exchange(), exchange()
    cast(Any, slow.flow).write_paused = True
    gone.hang_up()
    assert not slow.answer_at_once(200, HEADERS, b"{}")
    assert not gone.answer_at_once(200, HEADERS, b"{}")
    assert not exchange(method="HEAD").answer_at_once(200, HEADERS, b"{}")
    assert not exchange().answer_at_once(200, HEADERS, b"")
    assert not exchange().answer_at_once(204, HEADERS, b"{}")
    for name, value in (("connection", "close"), ("transfer-encoding", "chunked")):
        assert not exchange().answer_at_once(200, {**HEADERS, name: (name, value)}, b"{}")


async def test_a_body_that_is_here_need_not_be_received():
    asked = exchange()
    asked.body += b"{"
    assert asked.body_at_hand() is None
    asked.body += b"}"
    asked.more_body = False
    assert asked.body_at_hand() == b"{}"
    receiving = asyncio.ensure_future(asked.receive())
    await asyncio.sleep(0)
    assert not receiving.done()
    asked.hang_up()
    assert (await receiving)["type"] == "http.disconnect"


async def test_a_body_that_broke_off_is_not_at_hand():
    asked = exchange()
    asked.more_body = False
    asked.break_off()
    assert asked.body_at_hand() is None


EVENTS = {"content-type": ("Content-Type", "text/event-stream")}
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-type: text/event-stream\r\n"


def announced(headers: Any = EVENTS, **about: Any) -> tuple[Exchange, list[bytes]]:
    answer = exchange(**about)
    answer.announce(200, headers)
    return answer, cast(Wire, answer.transport).written


async def test_a_head_that_was_announced_leaves_at_once_with_the_first_piece():
    answer, written = announced()
    assert answer.write_at_once(b"first")
    assert written == [EVENTS_HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"]
    assert answer.write_at_once(b"next")
    assert answer.end_at_once(b"")
    assert written[1:] == [b"4\r\nnext\r\n", b"0\r\n\r\n"]
    assert answer.response_complete


async def test_a_head_that_was_announced_leaves_with_the_whole_answer():
    answer, written = announced(keep_alive=False)
    assert answer.end_at_once(b"all")
    framing = b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    assert written == [EVENTS_HEAD + framing + b"3\r\nall\r\n0\r\n\r\n"]
    assert answer.response_complete
    assert cast(Wire, answer.transport).is_closed


@pytest.mark.parametrize(
    "odd",
    [
        {"method": "HEAD"},
        {"kind": OldExchange},
        {"headers": {**EVENTS, "content-length": ("Content-Length", "9")}},
        {"headers": {**EVENTS, "connection": ("Connection", "close")}},
        {"headers": {**EVENTS, "x-a": ("X-A", "one\ntwo")}},
    ],
)
async def test_an_odd_head_that_was_announced_is_left_to_send(odd: dict[str, Any]):
    answer, written = announced(**odd)
    assert not answer.write_at_once(b"first")
    assert not answer.end_at_once(b"first")
    assert written == []
    assert not answer.response_started


async def test_a_head_that_was_announced_and_left_by_send_is_not_written_again():
    answer, written = announced()
    await answered(answer, [STREAM], b"first", b"second")
    assert not answer.end_at_once(b"")
    assert not answer.write_at_once(b"third")
    assert b"".join(written).count(b"HTTP/1.1") == 1


async def test_a_head_that_was_announced_does_not_leave_for_a_caller_who_is_gone_or_reads_slowly():
    for happen in (lambda answer: answer.hang_up(), lambda answer: setattr(answer.flow, "write_paused", True)):
        answer, written = announced()
        happen(answer)
        assert not answer.write_at_once(b"first")
        assert written == []


async def test_chunks_are_written_with_their_own_framing_until_the_caller_reads_slowly_or_is_gone():
    for happen in (Exchange.stop_chunks, Exchange.hang_up):
        answer, written = announced()
        stops: list[str] = []
        assert answer.chunk_writer(lambda: None) is None, "there is no head"
        answer.write_at_once(b"first")
        transport = answer.chunk_writer(lambda stops=stops: stops.append("stop"))  # type: ignore[misc]
        assert transport is not None
        transport.write(b"1\r\nx\r\n")
        assert written[1:] == [b"1\r\nx\r\n"]
        assert stops == []
        happen(answer)
        assert stops == ["stop"]


async def test_there_is_no_writer_of_chunks_for_a_caller_who_reads_slowly_is_gone_or_has_it_all():
    for happen in (
        lambda answer: setattr(answer.flow, "write_paused", True),
        lambda answer: answer.hang_up(),
        lambda answer: answer.end_at_once(b""),
    ):
        answer, _ = announced()
        answer.write_at_once(b"first")
        happen(answer)
        assert answer.chunk_writer(lambda: None) is None

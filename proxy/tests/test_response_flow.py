"""A provider's body, handed over where it arrives: all of it, in order, and no faster than it is taken."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from proxy.tests.provider_line import END, Line
from proxy.upstreams.failures import ConnectionBroken, MalformedAnswer
from proxy.upstreams.http import connection as http
from proxy.upstreams.http.response import MAX_UNREAD_BYTES


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    line.socket.kernels.close()


async def test_what_came_before_and_what_comes_is_handed_over_in_order(line: Line):
    line.begin(b"1", b"2")
    assert await line.response.read() == b"12"
    line.say(b"3", b"4")
    end = line.response.flow(line.take)
    assert line.taken == [b"3", b"4"]
    line.say(b"5")
    assert line.taken == [b"3", b"4", b"5"]
    assert not end.done()
    line.say(end=END)
    assert line.taken == [b"3", b"4", b"5", b""]
    await end


@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"])
async def test_a_body_that_was_whole_before_it_flows_ends_at_once(line: Line, header: bytes):
    line.begin(b"1", header=header, end=END)
    await asyncio.sleep(0.01)  # a connection that is not kept is lost by now, which is no news
    end = line.response.flow(line.take)
    assert line.taken == [b"1", b""]
    await end


async def test_what_broke_off_before_it_flows_is_raised_after_what_came(line: Line):
    line.begin(b"1")
    line.socket.lost(ConnectionResetError())
    end = line.response.flow(line.take)
    assert line.taken == [b"1"]
    with pytest.raises(ConnectionBroken):
        await end


async def test_the_first_failure_is_the_one_that_is_told(line: Line):
    line.begin(b"1")
    line.connection.data_received(b"this is no chunk\r\n")
    await asyncio.sleep(0.01)
    assert line.socket.ended
    with pytest.raises(MalformedAnswer):
        await line.response.flow(line.take)


async def test_enough_is_enough(line: Line):
    line.begin()
    end = line.response.flow(line.take)
    line.say(b"enough", b"more", end=END)
    await end
    assert line.taken == [b"enough"]


async def test_what_take_raises_is_raised_where_the_flow_is_awaited_and_ends_it(line: Line):
    def refuse(data: bytes) -> bool:
        line.taken.append(data)
        raise ValueError(data)

    line.begin()
    end = line.response.flow(refuse)
    line.say(b"1", b"2", end=END)
    with pytest.raises(ValueError, match="1"):
        await end
    assert line.taken == [b"1"]


async def test_a_flow_that_nobody_awaits_any_more_hands_nothing_over(line: Line):
    line.begin()
    waiting = asyncio.ensure_future(cast("Any", line.response.flow(line.take)))
    waiting.cancel()
    await asyncio.sleep(0)
    line.say(b"1")
    line.response.close()
    assert line.taken == []
    assert line.retired == [False]


async def test_a_taker_who_cannot_keep_up_holds_the_provider_back(line: Line):
    line.begin()
    line.response.flow(line.take)
    line.response.hold()
    assert not line.socket.is_reading()
    line.response.go_on()
    assert line.socket.is_reading()


def hold_while_taking(line: Line) -> Callable[[bytes], bool]:
    def take(data: bytes) -> bool:
        line.response.hold()
        return line.take(data)

    return take


async def test_a_hold_before_the_flow_begins_or_while_it_catches_up_lasts(line: Line):
    line.begin(b"1")
    line.response.flow(hold_while_taking(line))
    assert not line.socket.is_reading(), "what comes now would pile up"
    other = Line()
    other.begin()
    other.response.hold()
    other.response.flow(other.take)
    assert not other.socket.is_reading()
    other.socket.kernels.close()


async def test_much_that_was_not_read_before_the_flow_holds_nobody_back_after_it(line: Line):
    line.begin(b"x" * (MAX_UNREAD_BYTES + 1))
    assert not line.socket.is_reading()
    line.response.flow(line.take)
    assert line.socket.is_reading()


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_connection_is_kept_when_the_last_words_have_come_and_is_read_from_again(line: Line, is_held: bool):
    line.begin()
    line.response.flow(line.take)
    line.say(b"enough")
    if is_held:
        line.response.hold()
    line.response.finish()
    assert line.retired == []
    assert line.socket.is_reading()
    line.say(b"not for anybody", end=END)
    assert line.retired == [True]
    assert line.socket.is_reading()
    assert line.taken == [b"enough"]


async def test_a_held_connection_whose_answer_is_whole_is_read_from_again_when_it_is_kept(line: Line):
    line.begin()
    line.response.flow(hold_while_taking(line))
    line.say(b"1", end=END)
    assert not line.socket.is_reading()
    line.response.close()
    assert line.retired == [True]
    assert line.socket.is_reading()
    line.response.hold()  # of one who has not noticed
    assert line.socket.is_reading()


async def test_last_words_that_do_not_come_end_the_connection(line: Line, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "LAST_WORDS_S", 0.01)
    line.begin()
    line.response.flow(line.take)
    line.say(b"enough")
    line.response.finish()
    line.response.finish()
    async with asyncio.timeout(10):
        while not line.retired:
            line.say(b"for ever and ever")
            await asyncio.sleep(0.001)
    assert line.retired == [False]
    assert line.socket.ended


async def test_a_connection_that_is_lost_with_its_last_words_is_not_kept(line: Line):
    line.begin()
    line.response.flow(line.take)
    line.say(b"enough")
    line.socket.ended = True
    line.socket.lost(None)
    line.response.finish()
    assert line.retired == [False]


@pytest.mark.parametrize("finishes", [True, False])
async def test_an_answer_that_nobody_asked_for_in_the_read_that_ends_one_ends_the_connection(
    line: Line, finishes: bool
):
    line.begin()
    end = line.response.flow(line.take)
    line.say(b"1")
    if finishes:
        line.say(b"enough")
        line.response.finish()
    line.say(end=END + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsmuggled")
    assert line.socket.ended
    assert b"smuggled" not in line.taken
    await end
    line.response.close()
    assert len(line.retired) == 1
    assert not line.connection.is_open


async def test_a_connection_carries_one_answer_after_another(line: Line):
    for number in (b"1", b"2"):
        line.begin()
        end = line.response.flow(line.take)
        line.say(number, end=END)
        await end
        line.response.close()
        line.response = line.ask()
    assert line.taken == [b"1", b"", b"2", b""]
    assert line.retired == [True, True]

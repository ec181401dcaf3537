"""The connection to a real Redis: replies in pieces, in order, and none that is missing."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
import redis
from redis.exceptions import InvalidResponse, NoScriptError, RedisError

from accounts.redis.command import Command
from accounts.redis.connection import Connection

REPLIES = b"+OK\r\n$5\r\nhel\r\n\r\n:7\r\n$-1\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n-NOSCRIPT no\r\n$0\r\n\r\n"
READ = [b"OK", b"hel\r\n", 7, None, [b"a", [1]], NoScriptError, b""]


class Wire:
    """A connection whose other end is the test."""

    def __init__(self, timeout_s: float = 60.0) -> None:
        self.written: list[bytes] = []
        self.lost: list[tuple[Sequence[Command], RedisError]] = []
        self.is_aborted = False
        self.is_lost = asyncio.Event()
        self.connection = Connection(timeout_s, self.lose)
        self.connection.connection_made(cast("asyncio.BaseTransport", self))

    def lose(self, _: Connection, unanswered: Sequence[Command], error: RedisError) -> None:
        self.lost.append((unanswered, error))
        self.is_lost.set()

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.is_aborted = True
        self.connection.connection_lost(None)

    def send(self, *names: str) -> list[Command]:
        loop = asyncio.get_running_loop()
        commands = [Command(f"GET {name}\r\n".encode(), loop.create_future()) for name in names]
        self.connection.send(commands)
        return commands


def read(command: Command) -> Any:
    """The reply, or the class of the error; raises InvalidStateError if there is none yet."""
    return type(error) if (error := command.reply.exception()) else command.reply.result()


async def test_commands_that_are_sent_together_are_one_write():
    wire = Wire()
    wire.send("a", "b", "c")
    assert len(wire.written) == 1
    wire.connection.abort()


async def test_replies_may_come_in_two_pieces_split_at_any_byte():
    for cut in range(len(REPLIES) + 1):
        wire = Wire()
        commands = wire.send(*"abcdefg")
        wire.connection.data_received(REPLIES[:cut])
        wire.connection.data_received(REPLIES[cut:])
        assert [read(command) for command in commands] == READ
        assert not wire.lost


async def test_replies_may_come_byte_by_byte():
    wire = Wire()
    commands = wire.send(*"abcdefg")
    for place in range(len(REPLIES)):
        wire.connection.data_received(REPLIES[place : place + 1])
    assert [read(command) for command in commands] == READ


async def test_the_reply_of_a_cancelled_caller_is_given_to_nobody():
    wire = Wire()
    first, second = wire.send("a", "b")
    first.reply.cancel()
    wire.connection.data_received(b"$1\r\na\r\n$1\r\nb\r\n")
    assert read(second) == b"b"
    [third] = wire.send("c")
    assert not third.reply.done()
    wire.connection.data_received(b"$1\r\nc\r\n")
    assert read(third) == b"c"
    wire.connection.abort()


async def test_one_that_is_closed_says_once_what_was_not_answered():
    wire = Wire()
    commands = wire.send("a", "b", "c")
    commands[1].reply.cancel()
    wire.connection.data_received(b"+OK\r\n")
    wire.connection.connection_lost(ConnectionResetError("reset"))
    wire.connection.connection_lost(None)
    [(unanswered, error)] = wire.lost
    assert unanswered == [commands[2]]
    assert type(error) is redis.ConnectionError


async def test_one_that_is_closed_already_says_so():
    wire = Wire()
    wire.connection.connection_lost(None)
    with pytest.raises(redis.ConnectionError):
        await asyncio.wait_for(wire.connection.ask("PING"), 5)


@pytest.mark.parametrize("nonsense", [b"?what\r\n", b"+OK\r\n+OK\r\n"], ids=["no reply", "one too many"])
async def test_what_is_not_an_answer_ends_it(nonsense: bytes):
    wire = Wire()
    wire.send("a")
    wire.connection.data_received(nonsense)
    [(_, error)] = wire.lost
    assert type(error) is InvalidResponse
    assert wire.is_aborted


async def test_one_that_does_not_serve_yet_is_left_with_that_error():
    wire = Wire()
    commands = wire.send("a", "b")
    wire.connection.data_received(b"-LOADING Redis is loading the dataset in memory\r\n")
    [(unanswered, error)] = wire.lost
    assert (unanswered, type(error)) == (commands, redis.BusyLoadingError)


async def test_one_that_is_mute_is_dropped():
    wire = Wire(timeout_s=0.01)
    commands = wire.send("a", "b")
    await wire.is_lost.wait()
    [(unanswered, error)] = wire.lost
    assert (unanswered, type(error)) == (commands, redis.TimeoutError)
    assert wire.is_aborted


async def test_one_that_nothing_is_asked_of_may_be_silent():
    wire = Wire(timeout_s=0.01)
    [command] = wire.send("a")
    wire.connection.data_received(b"+OK\r\n")
    await asyncio.sleep(0.1)
    assert read(command) == b"OK"
    assert not wire.lost

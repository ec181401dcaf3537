"""A stream between a provider and a caller of whom either may be slow, silent, or gone at any moment."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import PATIENCE_S
from proxy.idempotency.recording import RecordedStream
from proxy.meter import Meter
from proxy.silence import LOOKS
from proxy.stream import Stream
from proxy.tests.stream_ends import (
    STOP,
    Caller,
    Looks,
    Provider,
    Pulled,
    Silent,
    event,
    pull_stream,
    said,
    turns,
    wire_stream,
)
from proxy.upstreams.base import Event
from proxy.upstreams.fast_path import FastPath
from proxy.upstreams.sse import DONE, KEEP_ALIVE


@pytest.fixture
async def provider() -> Provider:
    return Provider()


@pytest.fixture
async def caller() -> Caller:
    return Caller()


async def test_a_chunk_is_with_the_caller_in_the_turn_that_it_arrives_in(provider: Provider, caller: Caller):
    following = caller.follow(await wire_stream(provider, said("1")))
    await turns()
    provider.say(said("2"))
    assert caller.received == said("1") + said("2")
    provider.say(STOP, DONE)
    await following
    assert caller.received == said("1") + said("2") + STOP + DONE
    assert caller.finished == [None]


async def test_an_answer_whose_first_read_was_all_of_it_ends_though_its_body_has_not(
    provider: Provider, caller: Caller
):
    async with asyncio.timeout(PATIENCE_S):
        await caller.follow(await wire_stream(provider, said("1"), STOP, DONE))
    assert caller.received == said("1") + STOP + DONE


async def test_a_slow_caller_gets_everything_in_order_and_holds_the_provider(provider: Provider, caller: Caller):
    following = caller.follow(await wire_stream(provider, said("1")))
    await turns()
    caller.reads.clear()
    provider.say(said("2"))
    provider.say(said("3"), said("4"))
    provider.say(STOP, DONE)
    assert provider.told[-1] == "pause"
    await turns()
    assert not following.done()
    assert caller.finished == [], "an answer that the caller has not got yet may still be hung up on"
    caller.reads.set()
    await following
    assert caller.received == b"".join([*map(said, "1234"), STOP, DONE])
    assert provider.told[-1] == "resume"


async def test_a_slow_caller_is_told_of_a_mistake_of_ours_after_all_that_was_said_before(
    provider: Provider, caller: Caller
):
    def hear(events: Sequence[Event]) -> None:
        if events[0].raw == said("4"):
            raise RuntimeError("a mistake of ours")

    caller.transcript = SimpleNamespace(hear=hear)
    following = caller.follow(await wire_stream(provider, said("1")))
    await turns()
    caller.reads.clear()
    for word in "234":
        provider.say(said(word))
    await turns()
    caller.reads.set()
    await following
    assert caller.received.startswith(b"".join(map(said, "123")) + b'data: {"error"')
    assert [str(error) for error in caller.finished] == ["a mistake of ours"]


async def test_a_caller_who_does_not_even_take_the_head_holds_the_provider(provider: Provider, caller: Caller):
    caller.reads.clear()
    following = caller.follow(await wire_stream(provider, said("1")))
    await turns()
    assert provider.told[-1] == "pause"
    caller.reads.set()
    await turns()
    assert provider.told[-1] == "resume"
    provider.say(STOP)
    provider.end()
    await following
    assert caller.received == said("1") + STOP + DONE


async def test_what_a_slow_caller_was_written_is_recorded_as_it_was_said(
    provider: Provider, caller: Caller, settings: Any
):
    settings.GATEWAY_KEEP_ALIVE_S = 0.01
    kept: list[bytes] = []
    claim: Any = SimpleNamespace(keep=lambda answer, *_: kept.append(answer), release=lambda: kept.append(b""))
    response = RecordedStream(caller.response(await wire_stream(provider, said("1"))), claim)
    following = asyncio.ensure_future(caller.read(response))
    await asyncio.sleep(0.1)
    caller.reads.clear()
    for words in ("2", "3", "4"):
        provider.say(said(words))
    await asyncio.sleep(0.1)
    caller.reads.set()
    await turns()
    provider.say(STOP, DONE)
    await following
    assert kept == [b"".join([*map(said, "1234"), STOP, DONE])]
    assert caller.received.replace(KEEP_ALIVE, b"") == kept[0]


async def test_nothing_more_is_asked_of_a_source_that_is_pulled_while_the_caller_does_not_read(caller: Caller):
    source = Pulled(*map(said, "123"), STOP)
    caller.reads.clear()
    following = caller.follow(pull_stream(source))
    await turns()
    assert source.asked == 1
    caller.reads.set()
    await following
    assert caller.received == b"".join([*map(said, "123"), STOP, DONE])


@pytest.mark.parametrize("when", ["in the head", "after a chunk", "while held", "in the last words"])
async def test_a_caller_may_hang_up_at_any_moment(when: str, provider: Provider, caller: Caller):
    if when == "in the head":
        caller.reads.clear()
    following = caller.follow(await wire_stream(provider, said("1")))
    await turns()
    if when == "while held":
        caller.reads.clear()
    if when in {"after a chunk", "while held"}:
        provider.say(said("2"))
    if when == "in the last words":
        provider.say(STOP)
        caller.reads.clear()
        provider.say(DONE)
        await turns()
    following.cancel()
    await asyncio.wait([following])
    provider.say(said("late"))
    await turns()
    assert following.cancelled()
    assert len(caller.finished) == 1
    assert provider.is_left
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert b"late" not in caller.received


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_server_that_fails_ends_the_stream(is_held: bool, provider: Provider, caller: Caller):
    following = caller.follow(await wire_stream(provider, said("1")))
    await turns()
    if is_held:
        caller.reads.clear()
        provider.say(said("2"))
    caller.fails = True
    caller.reads.set()
    await turns()
    provider.say(said("3"))
    with pytest.raises(ConnectionResetError):
        await following
    assert [type(error) for error in caller.finished] == [ConnectionResetError]
    assert provider.is_left


async def test_a_server_that_fails_at_the_head_ends_the_stream(provider: Provider, caller: Caller):
    caller.fails = True
    with pytest.raises(ConnectionResetError):
        await caller.follow(await wire_stream(provider, said("1")))
    assert [type(error) for error in caller.finished] == [ConnectionResetError]


async def test_a_silent_provider_stalls_and_a_held_one_does_not(provider: Provider, caller: Caller):
    following = caller.follow(await wire_stream(provider, said("1"), stall_s=0.05))
    await turns()
    caller.reads.clear()
    provider.say(said("2"))
    await asyncio.sleep(0.2)
    assert not following.done()
    caller.reads.set()
    async with asyncio.timeout(PATIENCE_S):
        await following
    assert caller.received.startswith(said("1") + said("2") + b'data: {"error":')
    assert b'"stalled"' in caller.received
    assert DONE not in caller.received


async def test_the_time_that_a_caller_took_is_not_the_providers_silence(monkeypatch: pytest.MonkeyPatch):
    """A watch that looks the moment after a caller has caught up counts from there."""
    looks = Looks(monkeypatch, period_s=10.0)
    stream = Stream(Silent(), Meter(), [], 10.0)
    flowing = asyncio.ensure_future(stream.flow(lambda _: None, FastPath(stream.meter.delivered)))
    await asyncio.sleep(0)
    stream.hold()
    await looks.pass_by(LOOKS - 1)
    stream.go_on()
    await looks.pass_by(LOOKS)
    assert not flowing.done()
    await looks.pass_by(1)
    assert flowing.done()
    assert "fell silent" in str(flowing.exception())


async def test_what_came_in_the_read_of_a_failure_is_heard_before_it(provider: Provider, caller: Caller):
    stream = await wire_stream(provider, said("1"))
    following = caller.follow(stream)
    await turns()
    provider.say(said("2"), said("3"), event({"error": {"message": "no", "code": "overloaded"}}), said("4"))
    await following
    assert caller.received.startswith(b"".join(map(said, "123")) + b'data: {"error":')
    assert str(stream.meter.delivered) == "123"


@pytest.mark.parametrize("end", [b"", b"data: not json\n\n", b"data: {}"])
async def test_an_answer_that_ends_before_it_is_whole_ends_with_an_error(
    end: bytes, provider: Provider, caller: Caller
):
    following = caller.follow(await wire_stream(provider, said("1")))
    await turns()
    if end:
        provider.say(end)
    provider.end()
    await following
    assert b'data: {"error":' in caller.received
    assert DONE not in caller.received


async def test_comments_stand_between_the_pieces_of_a_stream_and_nowhere_else(
    provider: Provider, caller: Caller, settings: Any
):
    settings.GATEWAY_KEEP_ALIVE_S = 0.01
    following = caller.follow(await wire_stream(provider, said("1")))
    whole, half = said("2"), len(said("2")) // 2
    for piece in (whole[:half], whole[half:]):
        provider.say(piece)
        await asyncio.sleep(0.1)
    assert caller.received.count(KEEP_ALIVE) >= 2
    caller.reads.clear()
    await asyncio.sleep(0.1)
    provider.say(STOP, DONE)
    await asyncio.sleep(0.1)
    caller.reads.set()
    await following
    await asyncio.sleep(0.05)
    assert caller.received.replace(KEEP_ALIVE, b"") == said("1") + whole + STOP + DONE
    assert caller.received.endswith(STOP + DONE)

"""Chunks that pass as they came, between callers who read slowly, checkpoints, transcripts and ends."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from conftest import PATIENCE_S
from proxy.http.stream import CHECKPOINT_EVERY
from proxy.silence import LOOKS
from proxy.tests.provider_line import END, chunked
from proxy.tests.stream_ends import STOP, ChunkingProvider, ChunkReadingCaller, Looks, said, turns, wire_stream
from proxy.upstreams.sse import DONE, KEEP_ALIVE


class Relay:
    """A stream of which the first two chunks have come, so that the next may pass."""

    provider: ChunkingProvider
    caller: ChunkReadingCaller
    following: "asyncio.Task[None]"

    async def begin(self, transcript: Any = None, stall_s: float = 60.0) -> "Relay":
        self.provider, self.caller = ChunkingProvider(), ChunkReadingCaller()
        self.provider.say(said("1"))
        self.caller.transcript = transcript
        self.stream = await wire_stream(self.provider, stall_s=stall_s)
        self.following = self.caller.follow(self.stream)
        await turns()
        self.say("2")
        return self

    def say(self, *words: str) -> None:
        """In one read."""
        self.provider.read(b"".join(chunked(said(word)) for word in words))

    async def end(self) -> bytes:
        """What the caller has read by then."""
        self.provider.read(chunked(STOP), chunked(DONE) + END)
        async with asyncio.timeout(PATIENCE_S):
            await self.following
        self.provider.socket.kernels.close()
        return self.caller.body


async def test_the_end_goes_out_in_one_write_with_its_framing():
    relay = await Relay().begin()
    assert await relay.end() == said("1") + said("2") + STOP + DONE
    assert relay.caller.written[-2:] == [chunked(STOP), chunked(DONE) + END]
    assert relay.caller.exchange.response_complete


async def test_the_last_events_go_out_with_the_end_in_one_write():
    relay = await Relay().begin()
    relay.provider.read(chunked(said("3") + STOP + DONE) + END)
    async with asyncio.timeout(PATIENCE_S):
        await relay.following
    relay.provider.socket.kernels.close()
    assert relay.caller.written[-1] == chunked(said("3") + STOP + DONE) + END
    assert len(relay.caller.written) == 3


async def test_an_answer_that_is_all_there_goes_out_in_one_write():
    provider, caller = ChunkingProvider(), ChunkReadingCaller()
    provider.say(said("1") + STOP + DONE, end=END)
    async with asyncio.timeout(PATIENCE_S):
        await caller.follow(await wire_stream(provider))
    provider.socket.kernels.close()
    assert caller.body == said("1") + STOP + DONE
    assert len(caller.written) == 1
    assert caller.exchange.response_complete


async def test_the_last_words_before_a_failure_go_out_with_it():
    relay = await Relay().begin()
    relay.provider.read(chunked(said("3") + DONE) + END)  # no finish_reason
    async with asyncio.timeout(PATIENCE_S):
        await relay.following
    relay.provider.socket.kernels.close()
    assert relay.caller.body.startswith(said("1") + said("2") + said("3") + b'data: {"error":')
    assert DONE not in relay.caller.body
    assert len(relay.caller.written) == 3


async def test_a_caller_who_hangs_up_before_the_last_words_does_not_count_as_answered():
    relay = await Relay().begin()
    relay.caller.stops()
    relay.provider.read(chunked(said("3") + STOP + DONE) + END)
    await turns()
    assert relay.caller.finished == [], "they are not with the caller"
    relay.following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await relay.following
    relay.provider.socket.kernels.close()
    [ended_by] = relay.caller.finished
    assert isinstance(ended_by, asyncio.CancelledError)


async def test_the_end_waits_for_a_caller_who_reads_slowly():
    relay = await Relay().begin()
    relay.caller.stops()
    relay.provider.read(chunked(STOP), chunked(DONE) + END)
    await turns()
    assert not relay.following.done()
    relay.caller.goes_on()
    async with asyncio.timeout(PATIENCE_S):
        await relay.following
    assert relay.caller.body == said("1") + said("2") + STOP + DONE
    assert relay.caller.exchange.response_complete
    relay.provider.socket.kernels.close()


def numbered() -> Iterator[str]:
    yield from map(str, range(3, 10_000))


STEPS = st.sampled_from(["say", "say", "say", "say several", "say odd", "stop", "go on", "turn", "turns", "comment"])


async def followed(steps: list[str]) -> None:
    relay, numbers, words = await Relay().begin(), numbered(), ["1", "2"]
    for step in steps:
        if step.startswith("say"):
            new = [next(numbers) for _ in range(3 if step == "say several" else 1)]
            new = [f'"{word}"' for word in new] if step == "say odd" else new
            words += new
            relay.say(*new)
        elif step == "stop":
            relay.caller.stops()
        elif step == "go on":
            relay.caller.goes_on()
        elif step == "comment":
            relay.caller.response_to._fill_silence()
        else:
            await asyncio.sleep(0)
            await (turns() if step == "turns" else asyncio.sleep(0))
    relay.caller.goes_on()
    body = await relay.end()
    assert body.replace(KEEP_ALIVE, b"") == b"".join([*map(said, words), STOP, DONE])
    assert len(relay.stream.meter.delivered) == len(words)
    assert str(relay.stream.meter.delivered) == "".join(words)
    assert relay.caller.finished == [None]


@hypothesis_settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_order_is_kept_whenever_a_caller_stops_to_read_and_goes_on(steps: list[str]):
    asyncio.run(followed(steps))


async def test_nothing_passes_a_caller_who_does_not_read():
    relay = await Relay().begin()
    relay.say("3")
    assert len(relay.caller.passed) == 1
    relay.caller.stops()
    relay.say("4")
    relay.say("5")
    assert len(relay.caller.passed) == 1
    assert not relay.provider.socket.is_reading()
    relay.caller.goes_on()
    await turns()
    assert relay.provider.socket.is_reading()
    relay.say("6")
    relay.say("7")
    assert len(relay.caller.passed) == 2
    assert await relay.end() == b"".join([*map(said, "1234567"), STOP, DONE])


async def test_a_transcript_hears_every_chunk():
    heard: list[bytes] = []
    relay = await Relay().begin(SimpleNamespace(hear=lambda events: heard.extend(event.raw for event in events)))
    for word in "3456":
        relay.say(word)
    relay.say("7", "8")
    await relay.end()
    assert relay.caller.passed == []
    assert heard == [*map(said, "12345678"), STOP]


async def test_a_stream_is_checkpointed_at_least_so_often():
    relay = await Relay().begin()
    for number in range(1000):
        relay.say(f"word {number}")
    checkpoints = relay.caller.checkpoints
    assert checkpoints == list(range(CHECKPOINT_EVERY, 1000, CHECKPOINT_EVERY))
    assert len(relay.caller.passed) > 980
    await relay.end()


async def test_a_chunk_of_many_texts_does_not_put_off_the_checkpoints_after_it():
    relay = await Relay().begin()
    relay.provider.say(b"".join(said(f"word {number}") for number in range(CHECKPOINT_EVERY * 3)))
    before = len(relay.stream.meter.delivered)
    assert relay.caller.checkpoints == [before]
    for number in range(CHECKPOINT_EVERY * 2):
        relay.say(f"word {number}")
    assert relay.caller.checkpoints[-1] == before + CHECKPOINT_EVERY * 2
    assert max(later - earlier for earlier, later in pairwise(relay.caller.checkpoints)) <= CHECKPOINT_EVERY
    await relay.end()


async def test_chunks_that_pass_are_no_silence(monkeypatch: pytest.MonkeyPatch, settings: Any):
    settings.GATEWAY_KEEP_ALIVE_S = 10.0
    looks = Looks(monkeypatch, period_s=10.0)
    relay = await Relay().begin(stall_s=10.0)
    for number in range(8):
        await looks.pass_by(LOOKS // 2)
        relay.say(f"word {number}")
    assert len(relay.caller.passed) == 8
    assert KEEP_ALIVE not in relay.caller.body
    assert not relay.following.done()
    await looks.pass_by(LOOKS + 1)
    assert relay.following.done()
    assert b'"stalled"' in relay.caller.body


async def test_nothing_of_a_finished_stream_waits_for_the_garbage_collector():
    relay = await Relay().begin()
    relay.say("3")
    gc.disable()
    try:
        await relay.end()
        response, stream = weakref.ref(relay.caller.response_to), weakref.ref(relay.stream)
        del relay.caller.response_to, relay
        await turns()
        assert response() is None
        assert stream() is None
    finally:
        gc.enable()


async def test_after_a_stall_nothing_passes_even_in_the_same_turn():
    relay = await Relay().begin()
    watch = relay.stream._silence_watch
    assert watch is not None
    watch._act()
    relay.say("late")
    await relay.following
    assert b"late" not in relay.caller.body
    assert str(relay.stream.meter.delivered) == "12"


@pytest.mark.parametrize("is_gone", [True, False])
async def test_after_it_was_cancelled_nothing_passes(is_gone: bool):
    relay = await Relay().begin()
    relay.say("3")
    if is_gone:
        relay.caller.exchange.hang_up()
        relay.say("4")
    relay.following.cancel()
    await asyncio.wait([relay.following])
    relay.provider.read(chunked(said("late")))
    assert len(relay.caller.passed) == 1
    assert b"late" not in relay.caller.body
    assert len(relay.caller.finished) == 1
    assert relay.provider.retired == [False]

"""Whether chunks pass as they came or are written anew, a caller reads the same: however a provider cuts its stream."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from conftest import PATIENCE_S
from proxy.tests.fake_provider import chunk
from proxy.tests.provider_line import END, chunked
from proxy.tests.stream_ends import STOP, ChunkingProvider, ChunkReadingCaller, event, said, turns, wire_stream
from proxy.upstreams.sse import DONE

# ---- what a provider may send ----------------------------------------------------------------------------------------


def compact(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


WORDS = st.sampled_from(
    ["a", " word", "b" * 20, "", 'say "it"', "ü", "line\n", "5\r\nhello\r\n", "0", "data: {}", "a\0"]
)
NOISE = st.sampled_from(["", "x", "xyz", "ü"])
TEXTS = WORDS.map(said)
NOISY = st.tuples(WORDS, NOISE).map(lambda both: event({**chunk({"content": both[0]}), "obfuscation": both[1]}))
NOISY_DELTAS = st.tuples(WORDS, NOISE).map(lambda both: compact(chunk({"content": both[0], "obfuscation": both[1]})))
REASONING = WORDS.map(lambda word: event(chunk({"role": "assistant", "reasoning_content": word})))
SECOND_CHOICE = WORDS.map(lambda word: compact({"choices": [{"index": 1, "delta": {"content": word}}]}))
ODD = st.sampled_from(
    [
        b": a comment\n\n",
        b": ends like a chunk\n\r\n",
        b": two lines\r\n\r\n",
        b":" + chunked(said("in a comment")),
        b":\n\r\n" + chunked(said("after a comment")) * 2,
        b"data: " + chunked(said("in data")),
        b"event: message\n",
        said("with returns").replace(b"\n", b"\r\n"),
        said("raw zero").replace(b"zero", b"\0"),
        b"\n\n",
        event(chunk(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3})),
        event(chunk({}, "stop")),
        event({"error": {"message": "no", "code": "overloaded"}}),
        event({"choices": "none"}),
        b"data: not json\n\n",
        b"data: {}",
        DONE,
    ]
)
KINDS = st.sampled_from([TEXTS, TEXTS, NOISY, NOISY_DELTAS, REASONING, SECOND_CHOICE])
FRAMINGS = st.sampled_from([b"%x\r\n%b\r\n"] * 12 + [b"%X\r\n%b\r\n", b"0%x\r\n%b\r\n", b"%x;name=value\r\n%b\r\n"])
ENDS = st.sampled_from(
    [END, END, b"", b"zz\r\n", b"0\r\nname: value\r\n\r\n", END + b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n"]
)


@dataclass
class Told:
    """A stream's reads, after which the event loop has a turn of its own or not, and what begins it."""

    head: bytes
    reads: list[tuple[bytes, bool]]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True) if start < end]


BEFORE_FAKE = st.sampled_from([b"", b":", b": a comment\n\r\n", b"\n\r\n", b": two lines\r\n\r\n", b"data: {}\n"])


def with_fake(before: bytes, fake: bytes, after: bytes) -> list[bytes]:
    """A chunk whose content has another within, in reads of its parts."""
    size = len(before + fake + after)
    return [b"%x\r\n%b" % (size, before), fake, after + b"\r\n"]


def interrupted(raw: bytes, other: bytes) -> list[bytes]:
    """An event in two chunks, with another between them."""
    return [chunked(raw[: len(raw) // 2]), other, chunked(raw[len(raw) // 2 :])]


@st.composite
def streams(draw: st.DrawFn) -> Told:
    kind = draw(KINDS)
    events = draw(st.lists(st.integers(0, 9).flatmap(lambda odds: ODD if odds == 0 else kind), min_size=3, max_size=14))
    events += draw(st.sampled_from([[STOP, DONE], [STOP], []]))
    places = draw(st.lists(st.integers(0, 10_000), max_size=3))
    contents = draw(st.sampled_from([events, events, cut(b"".join(events), places)]))
    framed = [draw(FRAMINGS) % (len(content), content) for content in contents if content]
    wire = [*framed, end] if (end := draw(ENDS)) else framed
    reads: list[bytes] = []
    for piece in wire:  # most reads are chunks
        how = draw(st.integers(0, 12))
        if how == 0 and reads:
            reads[-1] += piece
        elif how == 1:
            reads += cut(piece, draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=3)))
        elif how == 2:
            reads += with_fake(draw(BEFORE_FAKE), chunked(draw(kind)), draw(st.sampled_from([b"", b"\n", b"\n\n"])))
        elif how == 3:
            reads += interrupted(draw(kind), chunked(draw(kind)))
        else:
            reads.append(piece)
    return Told(draw(kind), [(read, draw(st.booleans())) for read in reads])


# ---- what becomes of it ----------------------------------------------------------------------------------------------


async def relayed(told: Told, *, takes_chunks: bool) -> tuple[dict[str, Any], int]:
    """All that is to be the same, and how many reads passed as they came."""
    provider, caller = ChunkingProvider(), ChunkReadingCaller(takes_chunks=takes_chunks)
    provider.say(told.head)
    stream = await wire_stream(provider)
    following = caller.follow(stream)
    await turns()
    for data, has_turn in told.reads:
        provider.read(data)
        if has_turn:
            await turns()
    await turns()
    if not following.done() and provider.connection.is_open:
        provider.connection.eof_received()
        provider.connection.abort()
    async with asyncio.timeout(PATIENCE_S):
        await following
    await turns()
    provider.socket.kernels.close()
    same = {
        "body": caller.body,
        "delivered": (len(stream.meter.delivered), str(stream.meter.delivered)),
        "tokens": stream.meter.tokens,
        "reasons": stream.meter._finish_reasons,
        "end": [(type(error), str(error)) for error in caller.finished],
        "is open": provider.connection.is_open,
        "is kept": provider.retired,
    }
    return same, len(caller.passed)


async def both_ways(told: Told) -> int:
    """How many reads passed as they came, where it was allowed."""
    plain, none = await relayed(told, takes_chunks=False)
    fast, passed = await relayed(told, takes_chunks=True)
    assert none == 0
    assert fast == plain
    return passed


@settings(max_examples=600, deadline=None)
@given(streams())
def test_what_a_caller_reads_does_not_depend_on_what_passes(told: Told):
    asyncio.run(both_ways(told))


def told(*reads: bytes, head: bytes = said("1"), has_turns: bool = True) -> Told:
    return Told(head, [(read, has_turns) for read in reads])


FIRST = chunked(said("2"))  # shows that the stream is between two events
LAST = chunked(STOP), chunked(DONE) + END


@pytest.mark.parametrize("has_turns", [True, False])
async def test_usual_chunks_pass(has_turns: bool):
    words = [chunked(said(f"word {number}")) for number in range(6)]
    several = b"".join(words[4:])
    assert await both_ways(told(FIRST, *words[:4], several, *LAST, has_turns=has_turns)) == 5


@pytest.mark.parametrize("kind", ["content", "reasoning_content", "with role", "noisy"])
async def test_chunks_of_each_usual_kind_pass(kind: str):
    def written(word: str) -> bytes:
        if kind == "noisy":
            return event({**chunk({"content": word}), "obfuscation": word * 2})
        return event(chunk({"role": "assistant", "content": word} if kind == "with role" else {kind: word}))

    words = [chunked(written(f"word {number}")) for number in range(4)]
    assert await both_ways(told(*words, *LAST, head=written("head"))) == 3


@pytest.mark.parametrize("part", range(1, len(FIRST)))
async def test_after_a_part_of_a_chunk_nothing_passes_until_it_is_whole(part: int):
    chunks = [chunked(said(word)) for word in "345"]
    reads = [FIRST, FIRST[:part], FIRST[part:] + chunks[0], chunks[1], chunks[2]]
    assert await both_ways(told(*reads, *LAST)) == 2
    reads = [FIRST, FIRST[:part], FIRST[part:], chunks[1], chunks[2]]
    # The end of a chunk is seen by its last three bytes, in one read.
    assert await both_ways(told(*reads, *LAST)) in ({2} if part <= len(FIRST) - 3 else {1})


FAKE = chunked(said("fake"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b": a comment\n\r\n", b"\n"),
        (b":", b"\n"),
        (b": a comment\r\n\r\n", b""),
        (b"\n\r\n", b""),
        (said("3"), said("4")),
        (b"", b""),
    ],
)
async def test_content_that_looks_like_a_chunk_does_not_pass_without_its_framing(before: bytes, after: bytes):
    whole = chunked(before + FAKE + after)
    start = whole.index(before + FAKE) + len(before)
    reads = [whole[:start], FAKE, whole[start + len(FAKE) :]]
    assert await both_ways(told(FIRST, *reads, chunked(b"\n\n"), *LAST)) == 0
    assert await both_ways(told(FIRST, *reads[:2], chunked(b"\n\n"), *LAST)) == 0


@pytest.mark.parametrize(
    "line", [b"b", b"b\r", b"b\r\n", b"b;name=value\r\n", b"be", b"0", b"0\r\n", b"0\r\nname: value\r\n", b"0\r\na: \n"]
)
async def test_after_a_size_or_a_trailer_nothing_passes(line: bytes):
    for reads in ([FIRST + line, FAKE], [FIRST, line, FAKE]):
        assert await both_ways(told(*reads, *LAST)) == 0


async def test_nothing_passes_in_the_middle_of_an_event():
    half = len(said("3")) // 2
    chunks = chunked(said("3")[:half]), FAKE, chunked(said("3")[half:])
    assert await both_ways(told(FIRST, *chunks, FAKE, *LAST)) in {0, 1}
    for rest in (b"data: {}\n", b":\n", b"event: message\n", b"\n", b"\r"):
        assert await both_ways(told(FIRST, chunked(rest), FAKE, FAKE, *LAST)) <= 1


@pytest.mark.parametrize("has_turns", [True, False])
@pytest.mark.parametrize(
    "last",
    [
        (chunked(event({"error": {"message": "no"}})),),
        (chunked(event({"choices": "none"})),),
        (chunked(b"data: not json\n\n"),),
        (chunked(STOP), chunked(DONE)),
        (chunked(DONE),),
        (chunked(STOP), END),
        (END,),
        (b"this is no chunk\r\n",),
        (END + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsmuggled\n",),
    ],
)
async def test_after_the_end_nothing_passes(last: Sequence[bytes], has_turns: bool):
    assert await both_ways(told(FIRST, *last, FAKE, FAKE + FAKE, has_turns=has_turns)) == 0

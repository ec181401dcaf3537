"""Which reads pass as they came: whole chunks of HTTP that repeat an event but for its plain text, and no others."""

import asyncio
from types import SimpleNamespace
from typing import cast

import orjson
import pytest

from proxy.tests.fake_provider import chunk
from proxy.tests.provider_line import END, chunked
from proxy.tests.stream_ends import STOP, event, said
from proxy.upstreams.delivered import Delivered
from proxy.upstreams.fast_path import LONGEST_CHUNK, SIZE_LINES, FastPath, text_in_chunk
from proxy.upstreams.text_frame import LONGEST_SHARED, TextFrame


def frame_of(raw: bytes) -> TextFrame:
    frame = TextFrame.of(raw, orjson.loads(raw[6:]))
    assert frame is not None
    return frame


def noisy(content: str, noise: str) -> bytes:
    return event({**chunk({"content": content}), "obfuscation": noise})


FRAME = frame_of(said("one"))


class Caller:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.delivered = Delivered()
        self.left: list[bytes] = []
        self.path = FastPath(self.delivered)
        self.path.otherwise = self.left.append
        self.path.expect(FRAME)
        self.allow(10)

    def allow(self, pieces: int) -> None:
        """So many may pass."""
        transport = cast(asyncio.WriteTransport, SimpleNamespace(write=self.written.append))
        self.path.open(transport, len(self.delivered) + pieces)


@pytest.fixture
def caller() -> Caller:
    return Caller()


def passes(caller: Caller, *chunks: bytes) -> bool:
    """Whether they do in one read. If so, all of it is written once; if not, it is left to the connection."""
    data, pieces, text = b"".join(chunks), len(caller.delivered), str(caller.delivered)
    caller.written.clear()
    caller.left.clear()
    caller.path.read(data)
    if caller.written:
        assert caller.written == [data]
        assert caller.left == []
        assert len(caller.delivered) == pieces + len(chunks)
        return True
    assert caller.left == [data]
    assert (len(caller.delivered), str(caller.delivered)) == (pieces, text)
    return False


def test_one_chunk_passes_and_is_noted(caller: Caller):
    assert passes(caller, chunked(said("two")))
    assert str(caller.delivered) == "two"


def test_several_in_one_read_pass_and_are_noted_in_order(caller: Caller):
    assert passes(caller, *(chunked(said(word)) for word in ("two", " three", " four")))
    assert str(caller.delivered) == "two three four"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_read_that_has_only_a_part_of_a_chunk_does_not_pass(count: int, caller: Caller):
    whole = b"".join(chunked(said(f"word {number}")) for number in range(count))
    ends = {len(whole) * number // count for number in range(count + 1)}
    for cut in set(range(len(whole))) - ends:
        assert not passes(caller, whole[:cut])
        assert not passes(caller, whole[cut:])


def test_several_of_which_one_is_another_do_not_pass(caller: Caller):
    others = [
        said(""),
        said('"'),
        noisy("two", "x"),
        STOP,
        b": a comment\n\n",
        said("2") + said("3"),
        b"data: [DONE]\n\n",
    ]
    for other in map(chunked, others):
        assert not passes(caller, other)
        for chunks in ((other, chunked(said("3"))), (chunked(said("2")), other), (chunked(said("2")), other) * 2):
            assert not passes(caller, *chunks)
    assert not passes(caller, chunked(said("two")), END)


def with_line(line: bytes) -> bytes:
    return line + said("two") + b"\r\n"


SIZE = len(said("two"))


@pytest.mark.parametrize(
    "line",
    [
        b"%X\r\n" % SIZE,
        b"0%x\r\n" % SIZE,
        b"%x \r\n" % SIZE,
        b"%x;name=value\r\n" % SIZE,
        b"%x;\r\n" % SIZE,
        b"%x\n" % SIZE,
        b"0x%x\r\n" % SIZE,
        b"+%x\r\n" % SIZE,
        b"%x\r\n" % (SIZE - 1),
        b"%x\r\n" % (SIZE + 1),
        b"%x\r\n" % (SIZE * 16),
        b"\r\n%x\r\n" % SIZE,
        b"\r\n",
        b"0\r\n",
        b"",
    ],
)
def test_a_size_that_is_written_otherwise_or_lies_does_not_pass(line: bytes, caller: Caller):
    assert SIZE > 0xA0, "has a letter"
    assert passes(caller, with_line(b"%x\r\n" % SIZE))
    assert not passes(caller, with_line(line))
    assert not passes(caller, with_line(line), chunked(said("two")))
    assert not passes(caller, chunked(said("two")), with_line(line))


def test_nothing_passes_without_a_frame_or_beyond_the_limit(caller: Caller):
    caller.path.expect(None)
    assert not passes(caller, chunked(said("two")))
    caller.path.expect(FRAME)
    for pieces in (0, -1):
        caller.allow(pieces)
        assert not passes(caller, chunked(said("two")))
        assert not passes(caller, chunked(said("two")), chunked(said("three")))


def test_several_that_would_pass_the_limit_do_not_pass_in_part(caller: Caller):
    caller.allow(2)
    assert not passes(caller, *[chunked(said("two"))] * 3)
    assert passes(caller, *[chunked(said("two"))] * 2)
    assert not passes(caller, chunked(said("two")))


def test_nothing_passes_once_it_is_stopped_or_closed(caller: Caller):
    assert passes(caller, chunked(said("two")))
    caller.path.stop()
    assert not passes(caller, chunked(said("two")))
    caller.allow(10)
    assert passes(caller, chunked(said("two")))
    caller.path.close()
    assert not passes(caller, chunked(said("two")))
    caller.allow(10)
    assert not passes(caller, chunked(said("two")))
    caller.path.expect(FRAME)
    assert passes(caller, chunked(said("two")))


@pytest.mark.parametrize("content", ["", 'a "quote"', "a\\b", "ü", "🙂", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\x1fb"])
def test_a_text_that_is_empty_or_not_plain_does_not_pass(content: str, caller: Caller):
    assert not passes(caller, chunked(said(content)))
    raw = said("two").replace(b"two", content.encode())  # not valid JSON, some of them
    assert not passes(caller, chunked(raw))
    assert not passes(caller, chunked(raw), chunked(said("three")))


def test_a_chunk_of_any_length_up_to_the_longest_passes(caller: Caller):
    rest = len(said(""))
    for length in range(1, LONGEST_CHUNK + 20):
        data = chunked(said("x" * length))
        assert (text_in_chunk(FRAME, data) is not None) == (len(data) <= LONGEST_CHUNK)
    assert passes(caller, chunked(said("x" * (LONGEST_CHUNK - 7 - rest))))
    assert not passes(caller, chunked(said("x" * (LONGEST_CHUNK - 6 - rest))))
    assert not passes(caller, chunked(said("x" * (LONGEST_CHUNK - 6 - rest))), chunked(said("two")))


def test_each_size_line_stands_at_the_length_of_its_whole_chunk():
    for length, line in enumerate(SIZE_LINES):
        assert not line or len(chunked(b"." * int(line, 16))) == length
    sizes = [int(line, 16) for line in SIZE_LINES if line]
    assert sizes == list(range(1, LONGEST_CHUNK - 6))


def test_noise_passes_with_its_text_and_is_not_noted(caller: Caller):
    caller.path.expect(frame_of(noisy("one", "xyz")))
    assert passes(caller, chunked(noisy("two", "a")), chunked(noisy(" three", "")))
    assert str(caller.delivered) == "two three"
    for odd in ("ü", '"', "\\", "\n"):
        assert not passes(caller, chunked(noisy("two", odd)))
    assert not passes(caller, chunked(noisy("", "abc")))


def test_streams_that_end_their_events_alike_share_one_end_unless_it_is_long():
    assert frame_of(said("one")).last is frame_of(said("two")).last
    long = [event({**chunk({"content": word}), "provider": "x" * LONGEST_SHARED}) for word in ("one", "two")]
    assert frame_of(long[0]).last is not frame_of(long[1]).last


def test_a_text_or_noise_that_looks_like_what_is_around_it_is_only_a_text(caller: Caller):
    assert passes(caller, chunked(said("data: {}")), chunked(said("'content': 'x'")), chunked(said("1f")))
    assert str(caller.delivered) == "data: {}'content': 'x'1f"
    short = TextFrame(b"data: {a", None, b"a}\n\n")
    assert text_in_chunk(short, chunked(b"data: {a}\n\n")) is None, "its ends may not share a byte"

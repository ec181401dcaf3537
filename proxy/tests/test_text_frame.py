"""A chunk that is not decoded says what a decoder would have read, whatever a provider sends."""

import json
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from proxy.meter import Meter, texts_of
from proxy.tests.fake_provider import chunk
from proxy.upstreams import sse
from proxy.upstreams.base import Event
from proxy.upstreams.failures import UpstreamFailure
from proxy.upstreams.sse import EventParser
from proxy.upstreams.text_frame import TextFrame

# ---- what a provider may write: JSON whose keys may repeat and be spelled in many ways; each @ is a text -------------


def members(*some: str | st.SearchStrategy[str], most: int = 3) -> st.SearchStrategy[str]:
    """An object of some of these, in any order, also more than once."""
    strategies = [st.just(each) if isinstance(each, str) else each for each in some]
    return st.lists(st.one_of(strategies), min_size=1, max_size=most).map(lambda chosen: "{" + ",".join(chosen) + "}")


def both(one: st.SearchStrategy[str], other: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(one, other).map(lambda chosen: "{" + ",".join(chosen) + "}")


CONTENT = st.sampled_from(
    [*['"content":@'] * 3, '"content": @', '"content" : @', '"c\\u006fntent":@', '"a\\"content":@']
)
REASONING = st.sampled_from(['"reasoning_content":@', '"reasoning_content": @', '"reasoning_conten\\u0074":@'])
NOISE = st.sampled_from([*['"obfuscation":@'] * 3, '"obfuscation": @', '"obfuscation" : @', '"a\\"obfuscation":@'])
ROLE = st.sampled_from(['"role":"assistant"', '"role":@'])
TOOL_CALLS = CONTENT.map('"tool_calls":[{{{}}}]'.format)
SAID = members(CONTENT, CONTENT, CONTENT, REASONING, ROLE, NOISE, TOOL_CALLS)
DELTA = st.one_of(SAID, *(both(one, other) for one in (CONTENT, REASONING) for other in (ROLE, NOISE)))
LOGPROBS = CONTENT.map('"logprobs":{{{}}}'.format)
REASON = st.sampled_from(['"finish_reason":null', '"finish_reason":@'])
CHOICE = members(DELTA.map('"delta":{}'.format), DELTA.map('"delta":{}'.format), LOGPROBS, '"index":1', REASON)
CHOICES = st.lists(CHOICE, min_size=1, max_size=2).map(lambda chosen: '"choices":[' + ",".join(chosen) + "]")
ODD = st.sampled_from(['"usage":null', '"usage":{"prompt_tokens":3}', '"error":null', '"error":{"message":@}'])
USUAL = DELTA.map('"choices":[{{"delta":{}}}]'.format)
CHUNK = st.one_of(
    USUAL.map("{{{}}}".format),
    both(USUAL, NOISE),
    CHOICES.map("{{{}}}".format),
    members(CHOICES, CHOICES, CHOICES, CONTENT, NOISE, ODD),
)

ASCII_TEXT = st.sampled_from([*["a"] * 4, "b", "b", *[""] * 4, "probe", " word"]).map(json.dumps)
ODD_TEXT = st.sampled_from(['say "it"', "back\\slash", "line\n", "ü", "🙂", "\x7f"]).flatmap(
    lambda text: st.sampled_from([json.dumps(text), json.dumps(text, ensure_ascii=False)])
)
ESCAPED = st.just('"\\u0061"')  # an "a"
TEXT = st.integers(0, 7).flatmap(lambda kind: {0: ODD_TEXT, 1: ESCAPED}.get(kind, ASCII_TEXT))


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Chunks of few kinds, so that many of them have the same frame, each with other texts."""
    kinds = draw(st.lists(CHUNK, min_size=1, max_size=2))
    chunks = []
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=6)):
        before, *after = kind.split("@")
        chunks.append("data: " + before + "".join(draw(TEXT) + piece for piece in after) + "\n\n")
    return [chunk.encode() for chunk in chunks]


# ---- how it is read --------------------------------------------------------------------------------------------------


def read(pieces: Iterable[bytes]) -> tuple[list[Event], bool]:
    """The events, and whether they ended in a failure."""
    parser, events = EventParser(), list[Event]()
    try:
        for piece in pieces:
            events += parser.feed(piece)
        events += parser.end()
    except UpstreamFailure:
        return events, True
    return events, False


def heard(events: Iterable[Event | Any]) -> tuple[Any, ...]:
    """All that a meter knows after these."""
    meter = Meter()
    try:
        meter.feed(events)
    except UpstreamFailure as failure:
        return (failure.code, len(meter.delivered), str(meter.delivered))
    return (len(meter.delivered), str(meter.delivered), meter.has_content, meter.tokens, meter._finish_reasons)


def decoded(chunks: Iterable[bytes]) -> list[Event]:
    return [Event(raw, orjson.loads(raw[6:])) for raw in chunks]


@settings(max_examples=600, deadline=None)
@given(streams())
def test_an_event_that_was_not_decoded_says_what_its_json_says(chunks: list[bytes]):
    events, _ = read(chunks)
    assert [event.raw for event in events] == chunks
    for event, plain in zip(events, decoded(chunks), strict=True):
        assert event.data == plain.data
        if event.text is not None:
            assert event.data is not None
            [choice] = event.data["choices"]
            assert texts_of(choice["delta"]) == [event.text]
            assert not any([choice.get("finish_reason"), event.data.get("usage"), event.data.get("error")])
    assert heard(read(chunks)[0]) == heard(decoded(chunks))  # read again: these have been decoded by now


@settings(max_examples=200, deadline=None)
@given(streams(), st.data())
def test_where_a_stream_is_cut_changes_nothing(chunks: list[bytes], data: st.DataObject):
    newline = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    whole = b"".join([*chunks, b": a comment\n\n", b"data: [DONE]\n\n"]).replace(b"\n", newline)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    events, failed = read(piece for piece in pieces if piece)
    assert not failed
    assert b"".join(event.raw for event in events) + b"data: [DONE]" + 2 * newline == whole
    assert heard(events) == heard([*decoded(chunks), Event(b": a comment\n\n")])


def a_frame(event: bytes) -> TextFrame | None:
    return TextFrame.of(event, orjson.loads(event[6:]))


def event_of(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def said(content: str, **fields: Any) -> bytes:
    return event_of(chunk({"content": content}, **fields))


def test_the_usual_chunk_is_not_decoded_after_the_second(monkeypatch: pytest.MonkeyPatch):
    parser = EventParser()
    for text in ("no", "one"):
        parser.feed(said(text))
    monkeypatch.setattr(sse, "json_object", None)  # whoever calls it fails
    [event] = parser.feed(said(" two"))
    assert event.text == " two"
    assert event.data == chunk({"content": " two"})


def test_a_byte_is_plain_if_json_has_it_stand_for_itself_and_it_is_ascii():
    frame = a_frame(said("one", obfuscation="xyz"))
    assert frame is not None
    for byte in map(chr, range(0x100)):
        is_plain = json.dumps(byte) == f'"{byte}"' and byte != "\x7f"
        assert (frame.text_in(said("?", obfuscation="?").replace(b"?", byte.encode("latin-1"), 1)) == byte) == is_plain
        noisy = said("two", obfuscation="?").replace(b"?", byte.encode("latin-1"))
        assert (frame.text_in(noisy) == "two") == is_plain


@pytest.mark.parametrize("content", ["", "ü", 'a "quote"', "a\\b", "a\n", "\x7f", "\x1f"])
def test_a_text_that_is_empty_or_not_plain_is_decoded(content: str):
    frame = a_frame(said("one"))
    assert frame is not None
    assert frame.text_in(said(content)) is None


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"delta":{"content":"a","content" : "a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"c\\u006fntent":"a"},"logprobs":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"logprobs":{"content":"a"},"delta":{"content" :"a"}}]}\n\n',
        b'data: {"a\\"content":"a","choices":[{"delta":{"content" :"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}],"choices":[{"delta":{"content" :"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"},"delta":{"content" :"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\u0061"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a","reasoning_content":"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a","obfuscation":"x"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a","obfuscation":""}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"","role":"assistant"}}]}\n\n',
        b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}},{"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}],"error":{"message":"no"}}\n\n',
        b'data: {"choices":[{"delta":{"content":["a"]}}]}\n\n',
        b'data: {"choices":{"delta":{"content":"a"}}}\n\n',
    ],
)
def test_a_chunk_that_says_more_or_says_it_in_two_places_gives_no_frame(event: bytes):
    assert a_frame(event) is None


def test_the_text_of_the_frames_own_probe_is_no_exception():
    for content in ("probe", "PROBE"):
        frame = a_frame(said(content))
        assert frame is not None
        assert frame.text_in(said("other")) == "other"
    assert a_frame(b'data: {"choices":[{"delta":{"content":"probe","content" : "probe"}}]}\n\n') is None


@pytest.mark.parametrize("name", ["content", "reasoning_content", "reasoning", "refusal"])
def test_a_text_of_any_name_has_a_frame_with_or_without_its_role(name: str):
    for role in ({}, {"role": "assistant"}):
        frame = a_frame(event_of(chunk({**role, name: "one"})))
        assert frame is not None
        assert frame.text_in(event_of(chunk({**role, name: "two"}))) == "two"
        assert frame.text_in(event_of(chunk({**role, "other": "two"}))) is None


def test_noise_may_change_with_each_text_and_may_be_empty():
    frame = a_frame(said("one", obfuscation="xyz"))
    assert frame is not None
    for noise in ("xyz", "a", ""):
        assert frame.text_in(said("two", obfuscation=noise)) == "two"
    for noise in ("ü", 'a "quote"', "a\\b", "\x7f"):
        assert frame.text_in(said("two", obfuscation=noise)) is None
    assert frame.text_in(said("", obfuscation="xyz")) is None
    assert frame.text_in(said("two")) is None
    assert frame.text_in(said("two", obfuscation="xyz", more=True)) is None


def test_noise_before_the_text_or_that_is_no_text_belongs_to_the_frame():
    noisy = {"obfuscation": "xyz", **chunk({"content": "one"})}
    frame = a_frame(event_of(noisy))
    assert frame is not None
    assert frame.text_in(event_of({**noisy, **chunk({"content": "two"})})) == "two"
    assert frame.text_in(event_of({**noisy, "obfuscation": "abc"})) is None
    frame = a_frame(said("one", obfuscation=1))
    assert frame is not None
    assert frame.text_in(said("two", obfuscation=1)) == "two"
    assert frame.text_in(said("two", obfuscation=2)) is None


def test_what_is_called_noise_inside_of_a_delta_is_part_of_the_answer():
    """An empty one says nothing, but the next may."""
    events = [event_of(chunk({"content": text, "obfuscation": noise})) for text, noise in (("one", ""), ("two", "xyz"))]
    assert heard(read(events)[0])[:2] == (3, "onetwoxyz")


def test_another_choice_or_reason_or_obfuscation_has_another_frame():
    frame = a_frame(said("one"))
    assert frame is not None
    assert frame.text_in(said("two", obfuscation="xyz")) is None
    assert frame.text_in(said("two", id="another")) is None
    assert frame.text_in(said("one") + said("two")) is None
    assert frame.text_in(event_of(chunk({"content": "two"}, "stop"))) is None

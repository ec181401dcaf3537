"""Splitting and writing server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import re
from typing import Any

import orjson

from proxy.upstreams.base import Event
from proxy.upstreams.failures import MalformedAnswer
from proxy.upstreams.json_object import json_object
from proxy.upstreams.text_frame import TextFrame

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
MAX_EVENT_BYTES = 16 * 1024 * 1024
# A frame is looked for in these of the events: the first one says the role as well, and some providers put something
# new into each besides its text.
FRAMES = range(1, 9)

TOLD = "The provider streamed data"

_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class EventParser:
    """Turns bytes, cut anywhere, into events. `done` is set once `[DONE]` was read; nothing after it counts."""

    def __init__(self) -> None:
        self.done = False
        self._buffer = b""
        self._frame: TextFrame | None = None
        self._decoded_so_far = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events completed by these bytes; raises MalformedAnswer for data that is no JSON object."""
        if not self._buffer and not self.done:  # the usual: one event, and the same as before but for its text
            if self._frame and (text := self._frame.text_in(data)):
                return [Event(data, text=text)]
            if _is_one_event(data):
                return [self._decoded(data)]
        blocks, self._buffer = _split(self._buffer + data if self._buffer else data)
        events = [event for block in blocks if not self.done and (event := self._event(block))]
        if self.done:
            self._buffer = b""
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise MalformedAnswer("The provider sent an event of more than 16 MB.")
        return events

    @property
    def expected_frame(self) -> TextFrame | None:
        """What the next event is likely to repeat; None in the middle of an event, at the end, or if none is known."""
        return None if self._buffer or self.done else self._frame

    def end(self) -> list[Event]:
        """The events that the end of the body completes: some servers leave out the last blank line."""
        return self.feed(b"\n\n") if self._buffer.strip() else []

    def _decoded(self, event: bytes) -> Event:
        data = json_object(event[6:], TOLD)
        if self._decoded_so_far in FRAMES:
            self._frame = TextFrame.of(event, data) or self._frame
        self._decoded_so_far += 1
        return Event(event, data)

    def _event(self, block: bytes) -> Event | None:
        data = _data_of(block)
        if data == b"[DONE]":
            self.done = True
            return None
        if not data:
            return Event(block, None) if block.strip() else None
        return Event(block, json_object(data, TOLD))


def _is_one_event(data: bytes) -> bool:
    """Whether it is one line of JSON and a blank one."""
    return data.startswith(b"data: {") and data.endswith(b"}\n\n") and data.find(b"\n") == len(data) - 2


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    """The blocks that a blank line ends, with it, and what is left."""
    if b"\r" not in data:
        *blocks, rest = data.split(b"\n\n")
        return [block + b"\n\n" for block in blocks], rest
    ends = [end.end() for end in _BLANK_LINE.finditer(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)], data[ends[-1] if ends else 0 :]


def _data_of(block: bytes) -> bytes:
    if block.startswith(b"data: ") and block.find(b"\n") >= len(block) - 2:  # the usual: one line
        return block[6:].strip()
    lines = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    values = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(values).strip()


def event(data: dict[str, Any]) -> Event:
    """An event of our own."""
    return Event(b"data: " + orjson.dumps(data) + b"\n\n", data)

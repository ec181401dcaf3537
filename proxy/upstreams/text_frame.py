"""What the chunks of a stream have in common, so that most of them need no decoding.

Nearly every chunk says what the one before it said, byte for byte, but for a piece of text. Once one was decoded, those
that are the same around a plain text are known to be sound as well, and what they say is known.
"""

import re
from typing import Any, Self

import orjson

# Printable ASCII that stands for itself in JSON. Whatever else a text holds, its chunk is decoded.
_PLAIN = re.compile(rb"[ !#-\[\]-~]*").fullmatch
_CONTENT = re.compile(rb'"content": ?"')
_PROBE = "probe"


class TextFrame:
    """All of a chunk but its text: the bytes before and after it."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after
        self._size = len(before) + len(after)
        self._end = -len(after)

    def text_in(self, event: bytes) -> str | None:
        """The text of an event that is the same around it; None for any other event."""
        if not event.startswith(self._before) or not event.endswith(self._after) or len(event) < self._size:
            return None
        text = event[len(self._before) : self._end]
        return text.decode() if text and _PLAIN(text) else None

    @classmethod
    def of(cls, event: bytes, data: dict[str, Any]) -> Self | None:
        """The frame of an event that was decoded to `data`; None where it says anything but one text."""
        content = _only_text(data)
        place = _CONTENT.search(event)
        if content is None or place is None:
            return None
        start, end = place.end(), event.find(b'"', place.end())
        if event[start:end] != content.encode() or not _PLAIN(event[start:end]):
            return None
        before, after = event[:start], event[end:]
        # The same text may stand in two places, and only one of them counts: JSON may repeat and respell a key.
        return cls(before, after) if _is_read_from_between(before, after, content) else None


def _only_text(data: Any) -> str | None:
    """The text of the first and only choice, if its delta is one, and nothing else is said."""
    choices = data.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or data.get("error") or data.get("usage"):
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or choice.get("finish_reason") or not isinstance(choice.get("delta"), dict):
        return None
    content = choice["delta"].get("content")
    return content if len(choice["delta"]) == 1 and isinstance(content, str) else None


def _is_read_from_between(before: bytes, after: bytes, content: str) -> bool:
    """Whether another text there is what a decoder takes for the content: then any plain text is."""
    other = _PROBE if content != _PROBE else _PROBE.upper()
    return _only_text(orjson.loads((before + other.encode() + after).removeprefix(b"data:"))) == other

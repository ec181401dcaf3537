"""What the chunks of a stream have in common, so that most of them need no decoding.

Nearly every chunk says what the one before it said, byte for byte, but for a piece of text. Once one was decoded, those
that are the same around a plain text are known to be sound as well, and what they say is known.
"""

import re
from typing import Any, Self

# Printable ASCII that stands for itself in JSON. Whatever else a text holds, its chunk is decoded.
_PLAIN = re.compile(rb"[ !#-\[\]-~]*").fullmatch
_CONTENT = re.compile(rb'"content": ?"')


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
        choices = data.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or data.get("error") or data.get("usage"):
            return None
        choice = choices[0]
        if not isinstance(choice, dict) or choice.get("finish_reason") or not isinstance(choice.get("delta"), dict):
            return None
        content = choice["delta"].get("content")
        places = list(_CONTENT.finditer(event))
        if len(choice["delta"]) != 1 or not isinstance(content, str) or len(places) != 1:
            return None
        start = places[0].end()
        end = event.find(b'"', start)
        if event[start:end] != content.encode() or not _PLAIN(event[start:end]):
            return None
        return cls(event[:start], event[end:])

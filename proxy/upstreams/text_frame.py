"""What the chunks of a stream have in common, so that most of them need no decoding.

Nearly every chunk says what the one before it said, byte for byte, but for a piece of text. Once one was decoded, those
that are the same around a plain text are known to be sound as well, and what they say is known.
"""

from functools import lru_cache
from typing import Any, Self

import orjson

# For bytes.translate: printable ASCII that stands for itself in JSON. Whatever else a text holds, its chunk is decoded.
PLAIN = bytes(code if 0x20 <= code < 0x7F and code not in b'"\\' else ord("?") for code in range(256))
# What differs in each chunk of OpenAI's and is no part of the answer: it hides the length of a text from those who see
# encrypted traffic (https://platform.openai.com/docs/api-reference/chat-streaming).
NOISE = "obfuscation"
# Members of a delta that say nothing: the role, and what litellm repeats of the reasoning in another form.
NOT_SAID = frozenset({"role", "thinking_blocks", "provider_specific_fields"})
# An end of an event that is longer says something of its own.
LONGEST_SHARED = 128


class TextFrame:
    """All of an event but its text, and but for the noise that may follow it.

    before      the bytes up to the text
    middle      those between the text and the noise; None where there is no noise
    after       the rest
    last        the same with the end of a chunk of HTTP, if each event comes as one
    """

    __slots__ = ("after", "before", "last", "middle", "size")

    def __init__(self, before: bytes, middle: bytes | None, after: bytes) -> None:
        self.before = before
        self.middle = middle
        self.after = after
        last = after + b"\r\n"
        self.last = _shared(last) if len(last) <= LONGEST_SHARED else last
        self.size = len(before) + len(after)

    def text_in(self, event: bytes) -> str | None:
        """The text of an event that is the same around it; None for any other event."""
        inner = event.removeprefix(self.before).removesuffix(self.after)
        return self.text_of(inner) if len(inner) + self.size == len(event) else None

    def text_of(self, inner: bytes) -> str | None:
        """The same for what stands between `before` and `after`."""
        if self.middle:
            inner = without_noise(inner, self.middle)
        return inner.decode() if inner and inner.translate(PLAIN) == inner else None

    @classmethod
    def of(cls, event: bytes, data: dict[str, Any]) -> Self | None:
        """The frame of an event that was decoded to `data`; None where it says anything but one text."""
        said = _only_text(data)
        place = _place_of_text(event, said[0]) if said else None
        if said is None or place is None or event[slice(*place)] != said[1].encode():
            return None
        before, middle, after = event[: place[0]], None, event[place[1] :]
        if noise := _place_of_text(after, NOISE):
            middle, after = after[: noise[0]], after[noise[1] :]
        # The same text may stand in two places, and only one of them counts: JSON may repeat and respell a key. What
        # is called noise may be part of the answer, too, which shows only where it is not empty.
        probe = "probe" if said[1] != "probe" else "PROBE"
        noisy = middle + probe.encode() if middle else b""
        probed = b"".join([before, probe.encode(), noisy, after]).removeprefix(b"data:")
        return cls(before, middle, after) if _only_text(orjson.loads(probed)) == (said[0], probe) else None


def without_noise(inner: bytes, middle: bytes) -> bytes:
    """The text of what stands between the ends of a frame; b"" if there is no noise, or it is not plain."""
    text, found, noise = inner.partition(middle)
    return text if found and noise.translate(PLAIN) == noise else b""


@lru_cache(maxsize=64)
def _shared(value: bytes) -> bytes:
    """The same object for all who have the same: streams of one provider end their events alike."""
    return value


def _only_text(data: Any) -> tuple[str, str] | None:
    """What the delta of the first and only choice says, its name and the text, if that is all that is said."""
    choices = data.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or data.get("error") or data.get("usage"):
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or choice.get("finish_reason") or not isinstance(choice.get("delta"), dict):
        return None
    said = [(name, value) for name, value in choice["delta"].items() if value and name not in NOT_SAID]
    return said[0] if len(said) == 1 and isinstance(said[0][1], str) else None


def _place_of_text(event: bytes, name: str) -> tuple[int, int] | None:
    """Where the first plain text of that name begins and ends."""
    for opening in (b'"%b":"' % name.encode(), b'"%b": "' % name.encode()):
        if (found := event.find(opening)) >= 0:
            start = found + len(opening)
            end = event.find(b'"', start)
            text = event[start:end]
            return (start, end) if text.translate(PLAIN) == text else None
    return None

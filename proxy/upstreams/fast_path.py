"""The way of a streamed chunk that brings nothing but another piece of text: as it came, from socket to socket."""

import asyncio
from collections.abc import Callable

from proxy.upstreams.delivered import Delivered
from proxy.upstreams.text_frame import PLAIN, TextFrame, without_noise

LONGEST_CHUNK = 4096


class FastPath:
    """Reads what a provider sends, and passes on whole chunks of HTTP that repeat an event's frame, byte for byte.

    Everything else goes to `otherwise`, the reading of the provider's connection. What passes is added to `delivered`.
    """

    # What `read` needs of a frame stands here: each object that it looks at has left the caches since the last chunk.
    # `_limit` is what was allowed when it was opened; `_until` is the same while a frame is expected, else 0.
    __slots__ = ("_before", "_delivered", "_frame", "_last", "_limit", "_middle", "_transport", "_until", "otherwise")

    def __init__(self, delivered: Delivered) -> None:
        self.otherwise: Callable[[bytes], None] = _nothing
        self._delivered = delivered
        self._limit = 0
        self.expect(None)

    def open(self, transport: asyncio.WriteTransport, limit: int) -> None:
        """Chunks may pass to this, until so many pieces are delivered.

        Then one goes the long way, where whoever relays the stream looks at how far it has got. Writing never waits.
        """
        self._transport = transport
        self._limit = limit
        self._until = limit if self._frame else 0

    def stop(self) -> None:
        """Nothing may pass any more, until it is opened again."""
        self._limit = self._until = 0

    def expect(self, frame: TextFrame | None) -> None:
        """The provider is between two events, and the next one may repeat this. None: it is not, or none is known."""
        self._frame = frame
        self._until = self._limit if frame else 0
        if frame:
            self._before, self._middle, self._last = frame.before, frame.middle, frame.last

    def close(self) -> None:
        """The provider is not between two events."""
        self.expect(None)

    def read(self, data: bytes) -> None:
        """Write this if it is one such chunk, or several."""
        delivered = self._delivered
        if delivered.pieces >= self._until:
            otherwise = self.otherwise  # from a variable it is called faster
            otherwise(data)
            return
        # What `text_in_chunk` does, for nearly every chunk of nearly every stream: two calls would take as long again.
        size = len(data)
        line = SIZE_LINES[size] if size <= LONGEST_CHUNK else b""
        last = self._last
        opening = line + self._before
        inner = data[len(opening) : size - len(last)]
        if not line or opening + inner + last != data:
            self._read_several(data)
            return
        if self._middle is not None:
            inner = without_noise(inner, self._middle)
        if inner and inner.translate(PLAIN) == inner:
            self._transport.write(data)
            text = delivered.text
            text += inner
            delivered.pieces += 1
        else:
            self.otherwise(data)

    def _read_several(self, data: bytes) -> None:
        """The same for a read that has fallen behind."""
        frame, last = self._frame, self._last
        *pieces, rest = data.split(last)
        if frame and not rest and 1 < len(pieces) <= self._until - self._delivered.pieces:
            texts = [text for piece in pieces if (text := text_in_chunk(frame, piece + last))]
            if len(texts) == len(pieces):
                self._transport.write(data)
                for text in texts:
                    self._delivered.add(text)
                return
        self.otherwise(data)


def text_in_chunk(frame: TextFrame, chunk: bytes) -> str | None:
    """The text of a whole chunk of HTTP whose content is an event of this frame; None for any other."""
    size = len(chunk)
    line = SIZE_LINES[size] if size <= LONGEST_CHUNK else b""
    opening = line + frame.before
    inner = chunk[len(opening) : size - len(frame.last)]
    return frame.text_of(inner) if line and opening + inner + frame.last == chunk else None


def _nothing(data: bytes) -> None:
    pass


def _size_lines() -> list[bytes]:
    lines = [b""] * (LONGEST_CHUNK + 1)
    for size in range(1, LONGEST_CHUNK - 6):
        line = b"%x\r\n" % size
        lines[len(line) + size + 2] = line
    return lines


# The line that says how long a chunk of HTTP is (RFC 9112, 7.1), by the length of all of it. A provider may write it in
# other ways, too; those chunks go the long way.
SIZE_LINES = _size_lines()

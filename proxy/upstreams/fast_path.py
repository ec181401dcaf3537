"""The way of a streamed chunk that brings nothing but another piece of text: as it came, from socket to socket."""

from collections.abc import Callable

from proxy.upstreams.text_frame import PLAIN, TextFrame

LONGEST_CHUNK = 4096


class FastPath:
    """Takes whole chunks of HTTP that repeat the `frame` of an event before, and writes them as they are.

    `frame` is set while the provider is between two events, and a frame is known. `credit`: so many may pass before one
    goes the long way, where whoever relays the stream looks at how far it has got.
    """

    __slots__ = ("_hear", "_write", "credit", "frame")

    def __init__(self, write: Callable[[bytes], bool], hear: Callable[[str], None]) -> None:
        """`write` says whether it took the chunks; `hear` is told the text of each that it took."""
        self._write = write
        self._hear = hear
        self.credit = 0
        self.frame: TextFrame | None = None

    def take(self, data: bytes) -> bool:
        """Whether this was one such chunk, or several, and is written."""
        frame = self.frame
        if frame is None or self.credit < 1:
            return False
        # What `text_in_chunk` does, for nearly every chunk of nearly every stream: two calls would take as long again.
        size = len(data)
        line = SIZE_LINES[size] if size <= LONGEST_CHUNK else b""
        opening = line + frame.before
        inner = data[len(opening) : frame.ends_at]
        if not line or opening + inner + frame.last != data:
            return self._take_several(frame, data)
        is_plain = frame.middle is None and inner and inner.translate(PLAIN) == inner
        text = inner.decode() if is_plain else frame.text_of(inner)
        if not text or not self._write(data):
            return False
        self.credit -= 1
        self._hear(text)
        return True

    def _take_several(self, frame: TextFrame, data: bytes) -> bool:
        """The same for a read that has fallen behind."""
        pieces = data.split(frame.last)
        if pieces.pop() or not 1 < len(pieces) <= self.credit:
            return False
        texts = [text for piece in pieces if (text := text_in_chunk(frame, piece + frame.last))]
        if len(texts) < len(pieces) or not self._write(data):
            return False
        self.credit -= len(texts)
        for text in texts:
            self._hear(text)
        return True


def text_in_chunk(frame: TextFrame, chunk: bytes) -> str | None:
    """The text of a whole chunk of HTTP whose content is an event of this frame; None for any other."""
    size = len(chunk)
    line = SIZE_LINES[size] if size <= LONGEST_CHUNK else b""
    opening = line + frame.before
    inner = chunk[len(opening) : frame.ends_at]
    return frame.text_of(inner) if line and opening + inner + frame.last == chunk else None


def _size_lines() -> list[bytes]:
    lines = [b""] * (LONGEST_CHUNK + 1)
    for size in range(1, LONGEST_CHUNK - 6):
        line = b"%x\r\n" % size
        lines[len(line) + size + 2] = line
    return lines


# The line that says how long a chunk of HTTP is (RFC 9112, 7.1), by the length of all of it. A provider may write it in
# other ways, too; those chunks go the long way.
SIZE_LINES = _size_lines()

"""The way of a streamed chunk that brings nothing but another piece of text: as it came, from socket to socket."""

from collections.abc import Callable

from proxy.upstreams.text_frame import PLAIN, TextFrame

LONGEST_CHUNK = 4096


class FastPath:
    """Reads what a provider sends, and passes on whole chunks of HTTP that repeat an event's `frame`, byte for byte.

    Everything else goes to `otherwise`, the reading of the provider's connection. `frame` is set while the provider is
    between two events, and a frame is known. `credit`: so many may pass before one goes the long way, where whoever
    relays the stream looks at how far it has got. `write` takes them, and never waits.
    """

    __slots__ = ("_hear", "credit", "frame", "otherwise", "write")

    def __init__(self, hear: Callable[[str], None]) -> None:
        """`hear` is told the text of each chunk that has passed."""
        self._hear = hear
        self.write: Callable[[bytes], None] = _nothing
        self.otherwise: Callable[[bytes], None] = _nothing
        self.credit = 0
        self.frame: TextFrame | None = None

    def stop(self) -> None:
        """Nothing may pass any more, until there is `credit` again."""
        self.credit = 0

    def close(self) -> None:
        """The provider is not between two events."""
        self.frame = None

    def read(self, data: bytes) -> None:
        """Write this if it is one such chunk, or several."""
        frame = self.frame
        if frame is None or self.credit < 1:
            otherwise = self.otherwise  # from a variable it is called faster
            otherwise(data)
            return
        # What `text_in_chunk` does, for nearly every chunk of nearly every stream: two calls would take as long again.
        size = len(data)
        line = SIZE_LINES[size] if size <= LONGEST_CHUNK else b""
        opening = line + frame.before
        inner = data[len(opening) : frame.ends_at]
        if not line or opening + inner + frame.last != data:
            self._read_several(frame, data)
            return
        is_plain = frame.middle is None and inner and inner.translate(PLAIN) == inner
        text = inner.decode() if is_plain else frame.text_of(inner)
        if text:
            write, hear = self.write, self._hear
            write(data)
            self.credit -= 1
            hear(text)
        else:
            self.otherwise(data)

    def _read_several(self, frame: TextFrame, data: bytes) -> None:
        """The same for a read that has fallen behind."""
        pieces = data.split(frame.last)
        if not pieces.pop() and 1 < len(pieces) <= self.credit:
            texts = [text for piece in pieces if (text := text_in_chunk(frame, piece + frame.last))]
            if len(texts) == len(pieces):
                self.write(data)
                self.credit -= len(texts)
                for text in texts:
                    self._hear(text)
                return
        self.otherwise(data)


def text_in_chunk(frame: TextFrame, chunk: bytes) -> str | None:
    """The text of a whole chunk of HTTP whose content is an event of this frame; None for any other."""
    size = len(chunk)
    line = SIZE_LINES[size] if size <= LONGEST_CHUNK else b""
    opening = line + frame.before
    inner = chunk[len(opening) : frame.ends_at]
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

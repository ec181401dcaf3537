"""Counting calls of Python functions: a count is the same on any machine, a time is not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Count:
    calls = 0


@contextmanager
def counted(*parts: str) -> Iterator[Count]:
    """Counts this thread's calls inside the block, of functions whose file path has one of these parts."""
    count, known = Count(), dict[str, bool]()

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            name = frame.f_code.co_filename
            if name not in known:
                known[name] = any(part in name for part in parts)
            count.calls += known[name]

    sys.setprofile(look)
    try:
        yield count
    finally:
        sys.setprofile(None)

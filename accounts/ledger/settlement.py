"""How a request ended: what its settlement carries."""

from dataclasses import dataclass
from typing import Self

import orjson


@dataclass(slots=True)
class Settlement:
    """How a request ended: its usage event, the tokens that count, and an answer to keep for `keep_s` seconds.

    `counters` and `gates` are the names in Redis of what the request was counted in: tuples, known by their values.
    """

    request_id: str
    event: bytes
    tokens: int = 0
    counters: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    cached: str = ""
    keep_s: int = 0
    answer: bytes = b""

    @property
    def record(self) -> "Settlement":
        """What must not be lost; the answer for the cache may be."""
        if not self.keep_s:
            return self
        return Settlement(self.request_id, self.event, self.tokens, self.counters, self.gates)

    def to_line(self) -> bytes:
        """One line of a spool file."""
        kept = {
            "request_id": self.request_id,
            "event": self.event.decode(),
            "tokens": self.tokens,
            "counters": self.counters,
            "gates": self.gates,
        }
        return orjson.dumps(kept) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        kept = orjson.loads(line)
        counters, gates = tuple(kept["counters"]), tuple(kept.get("gates", ()))
        return cls(kept["request_id"], kept["event"].encode(), kept["tokens"], counters, gates)

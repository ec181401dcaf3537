"""What one call was asked and answered, word for word: for tenants that store it (`Tenant.store_bodies_days`)."""

from collections.abc import Iterable
from typing import Any

import orjson

from proxy.assembly import Assembly
from proxy.upstreams.base import Event
from proxy.upstreams.failures import MalformedAnswer
from proxy.upstreams.sse import EventParser

MAX_BODY_BYTES = 256 * 1024


class Transcript:
    """Tell it the answer: `take` one that is whole, or `hear` each event of a stream.

    `sent` is the caller's own body, which came as so many `sent_bytes`.
    """

    def __init__(self, sent: Any, sent_bytes: int) -> None:
        self._sent = sent
        self._sent_bytes = sent_bytes
        self._answer = b""
        self._assembly: Assembly | None = None
        self._never_ends = False

    def take(self, answer: bytes) -> None:
        """The JSON of a chat.completion."""
        self._answer = answer

    def hear(self, events: Iterable[Event]) -> None:
        """Of an answer that breaks off, what came so far is kept."""
        self._assembly = self._assembly or Assembly()
        if self._never_ends:
            return
        try:
            self._assembly.feed(events)
        except MalformedAnswer:
            self._never_ends = True

    def hear_again(self, stream: bytes) -> None:
        """The bytes of a stream that was heard before."""
        self.hear(EventParser().feed(stream))

    def record(self) -> dict[str, Any]:
        """For the usage event: each body with its length in bytes, null where it is too long, or deep, to be stored."""
        return {"request": self._request(), "answer": self._told()}

    def _request(self) -> dict[str, Any]:
        fits = self._sent_bytes <= MAX_BODY_BYTES
        return {"bytes": self._sent_bytes, "json": self._sent if fits else None}

    def _told(self) -> dict[str, Any]:
        try:
            raw = orjson.dumps(self._assembly.completion()) if self._assembly else self._answer
        except TypeError:  # put together, it has more levels than orjson writes
            raw = b""
        fits = 0 < len(raw) <= MAX_BODY_BYTES and not self._never_ends
        return {"bytes": len(raw), "json": orjson.Fragment(raw) if fits else None}

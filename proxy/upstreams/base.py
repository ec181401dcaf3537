"""The door to providers: what goes in, what comes out. One module beside this file for each wire.

    openai_wire.py    providers that speak OpenAI's wire: bytes pass through
    litellm_wire.py   everything else, translated by litellm
    demo.py           built-in models, no key and no network

Every wire raises only the failures of `failures.py`.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from proxy.upstreams.fast_path import FastPath

# No answer uses as many; neither Redis nor Postgres could add up what a confused provider may report.
MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class Target:
    """One model of one provider, and our credential for it."""

    provider: str
    kind: str
    wire: str
    base_url: str
    api_key: str = field(repr=False)
    model: str
    connect_timeout_s: float = 5.0


@dataclass(slots=True)
class TokenCount:
    """What an answer used, in tokens; `cached` are part of `prompt`, `reasoning` part of `completion`."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    @classmethod
    def from_usage(cls, usage: Any) -> "TokenCount | None":
        """Read OpenAI's `usage` object; None if it is missing or has no token counts."""
        if not isinstance(usage, dict) or not (usage.get("prompt_tokens") or usage.get("completion_tokens")):
            return None
        return cls(
            prompt=_count(usage, "prompt_tokens"),
            completion=_count(usage, "completion_tokens"),
            cached=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
            reasoning=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
        )


@dataclass(slots=True)
class Answer:
    """A complete answer: the bytes for the caller, and the same decoded."""

    raw: bytes
    data: dict[str, Any]

    @property
    def tokens(self) -> TokenCount | None:
        return TokenCount.from_usage(self.data.get("usage"))


class Event:
    """One server-sent event of a stream: its `raw` bytes with the closing blank line, and what they say.

    `data` is decoded JSON, None for a comment. `text` is set where one more piece of plain text is all that is said;
    `data` is then decoded only when it is asked for. The `[DONE]` mark is not an event: a stream that has ended has
    ended.
    """

    __slots__ = ("_data", "raw", "text")

    def __init__(self, raw: bytes, data: dict[str, Any] | None = None, *, text: str | None = None) -> None:
        self.raw = raw
        self.text = text
        self._data = data

    @property
    def data(self) -> dict[str, Any] | None:
        if self._data is None and self.text is not None:
            self._data = orjson.loads(self.raw.removeprefix(b"data:"))
        return self._data


Take = Callable[[Sequence[Event]], None]


class PushSource(AsyncIterator[Sequence[Event]]):
    """A stream that can also hand its events over in the very turn of the event loop that they arrive in.

    `has_ended` says that no others will come than those that are being handed over.
    """

    has_ended = False

    @abstractmethod
    def flow(self, take: Take, fast_path: FastPath) -> asyncio.Future[None]:
        """Hand over all that is still to come, but for what the fast path takes.

        Done at the end; raises UpstreamFailure, or what `take` raised.
        """

    @abstractmethod
    def hold(self) -> None:
        """Hold the provider back: `take` cannot keep up. What is on its way already still comes."""

    @abstractmethod
    def go_on(self) -> None:
        """Take it up again."""


class Upstream(Protocol):
    """A wire. `body` is an OpenAI request whose `model` is already the target's own name; it must not be changed."""

    async def complete(self, target: Target, body: dict[str, Any]) -> Answer:
        """One whole chat completion. Raises UpstreamFailure."""

    def stream(self, target: Target, body: dict[str, Any]) -> AsyncIterator[Sequence[Event]]:
        """A chat completion as it is written: each item holds the events that arrived together.

        An async generator, or a PushSource; closing it ends the call to the provider at once. Raises UpstreamFailure,
        also in the middle. Ends normally only where the provider ended the stream cleanly. Asks the provider for its
        usage chunk.
        """

    async def embed(self, target: Target, body: dict[str, Any]) -> Answer:
        """Embeddings. Raises UpstreamFailure."""

    async def close(self) -> None:
        """Give back connections; called once when the process stops."""


def _count(container: Any, name: str) -> int:
    value = container.get(name) if isinstance(container, dict) else None
    return min(value, MOST_TOKENS) if isinstance(value, int) and value > 0 else 0

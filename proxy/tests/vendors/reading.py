"""What a client makes of a stream: its chunks put together."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.upstreams.base import Event


@dataclass
class Heard:
    """Everything that the chunks said, and the chunks."""

    chunks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [choice for chunk in self.chunks for choice in chunk["choices"]]

    @property
    def text(self) -> str:
        return "".join(choice["delta"].get("content", "") for choice in self.choices)

    @property
    def finish_reasons(self) -> list[str]:
        return [choice["finish_reason"] for choice in self.choices if choice["finish_reason"]]

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """Name, id and joined arguments of each tool call."""
        calls: dict[int, dict[str, Any]] = {}
        for choice in self.choices:
            for piece in choice["delta"].get("tool_calls", ()):
                if "id" in piece:
                    calls[piece["index"]] = {"id": piece["id"], "name": piece["function"]["name"], "arguments": ""}
                calls[piece["index"]]["arguments"] += piece["function"]["arguments"]
        return list(calls.values())


async def listen(stream: AsyncIterator[Sequence[Event]], heard: Heard | None = None) -> Heard:
    """Read a stream to its end; what came before a failure is in `heard`."""
    heard = heard or Heard()
    async for events in stream:
        for event in events:
            assert event.data is not None
            heard.chunks.append(event.data)
    return heard

"""The one door to providers."""

from collections.abc import Iterable

from proxy.upstreams.base import Answer, Event, Target, TokenCount, Upstream
from proxy.upstreams.demo import DemoUpstream
from proxy.upstreams.litellm_wire import LitellmWire
from proxy.upstreams.openai_wire import OpenAIWire

__all__ = ["Answer", "Event", "Target", "TokenCount", "Upstream", "Upstreams"]


class Upstreams:
    """The three wires of one event loop."""

    def __init__(self) -> None:
        self._litellm = LitellmWire()
        self._wires: dict[str, Upstream] = {"openai": OpenAIWire(), "litellm": self._litellm, "demo": DemoUpstream()}

    def for_target(self, target: Target) -> Upstream:
        return self._wires[target.wire]

    async def prepare(self, targets: Iterable[Target]) -> None:
        """Do beforehand what would make the first call to these slow: litellm takes seconds to import."""
        if any(target.wire == "litellm" for target in targets):
            await self._litellm.prepare()

    async def close(self) -> None:
        for wire in self._wires.values():
            await wire.close()

"""The one door to providers."""

from proxy.upstreams.base import Answer, Event, Target, TokenCount, Upstream
from proxy.upstreams.demo import DemoUpstream
from proxy.upstreams.litellm_wire import LitellmWire
from proxy.upstreams.openai_wire import OpenAIWire

__all__ = ["Answer", "Event", "Target", "TokenCount", "Upstream", "Upstreams"]


class Upstreams:
    """The three wires of one event loop."""

    def __init__(self) -> None:
        self._wires: dict[str, Upstream] = {"openai": OpenAIWire(), "litellm": LitellmWire(), "demo": DemoUpstream()}

    def for_target(self, target: Target) -> Upstream:
        return self._wires[target.wire]

    async def close(self) -> None:
        for wire in self._wires.values():
            await wire.close()

"""What was tried for a request: one entry for each call to a provider, failed ones included."""

import time
from dataclasses import dataclass, field
from typing import Any

from proxy.upstreams.failures import UpstreamFailure


@dataclass(slots=True)
class Attempt:
    """One call to one link, under way until `end` is called. Times are in milliseconds."""

    model: str
    provider: str
    failure: UpstreamFailure | None = None
    ms: float = 0.0
    _began: float = field(default_factory=time.perf_counter, repr=False)

    def end(self, failure: UpstreamFailure | None = None) -> None:
        self.ms = (time.perf_counter() - self._began) * 1000
        self.failure = failure

    def public(self) -> dict[str, Any]:
        """The contract's entry: {model, status, code, ms}; status and code are None for the one that answered."""
        return {
            "model": self.model,
            "status": self.failure.status if self.failure else 200,
            "code": self.failure.code if self.failure else None,
            "ms": round(self.ms),
        }

    def record(self) -> dict[str, Any]:
        """The entry in the usage row, for administrators: also the provider and the failure's message."""
        message = self.failure.message[:300] if self.failure else None
        return {**self.public(), "provider": self.provider, "message": message}

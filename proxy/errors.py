"""The refusals of the gateway itself, and what becomes of upstream failures. Drawn in `accounts.errors`; added here:

GatewayError
├── ModelNotFound       404   invalid_request_error   model_not_found
├── ModelNotAllowed     403   permission_error        model_not_allowed
├── ChainFailed         429 if all were rate limits, 504 if all timed out, else 502; upstream_error
│   └── NoUsableModel   503   upstream_error          no_usable_model
└── UpstreamRejected    the provider's own 4xx: the caller's fault
"""

from collections.abc import Sequence
from typing import Any

from accounts.errors import GatewayError, NotFound, NotPermitted
from proxy.attempts import Attempt
from proxy.upstreams.failures import BreakerOpen, RateLimited, TimedOut, UpstreamFailure


class ModelNotFound(NotFound):
    code = "model_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no model or chain named “{name[:100]}” for you. GET /v1/models lists what you may use.",
            param="model",
        )


class ModelNotAllowed(NotPermitted):
    code = "model_not_allowed"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Your API key may not use “{name[:100]}”. GET /v1/models lists what it may use.", param="model"
        )


class UpstreamError(GatewayError):
    """An answer about failed attempts; names every one of them."""

    type = "upstream_error"

    def __init__(self, message: str, attempts: Sequence[Attempt], *, status: int, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self._status = status
        self.attempts = attempts

    @property
    def http_status(self) -> int:
        return self._status

    def body(self, request_id: str) -> dict[str, Any]:
        return {**super().body(request_id), "attempts": [attempt.public() for attempt in self.attempts]}


class ChainFailed(UpstreamError):
    """No link answered."""

    def __init__(self, attempts: Sequence[Attempt], advice: str) -> None:
        failures = [attempt.failure for attempt in attempts if attempt.failure]
        status, last = _status_of(failures), failures[-1]
        waits = [
            failure.retry_after_s for failure in failures if isinstance(failure, RateLimited) and failure.retry_after_s
        ]
        tried = ", ".join(f"{attempt.model} ({attempt.failure.code})" for attempt in attempts if attempt.failure)
        super().__init__(
            f"No model answered: {tried}. {advice}",
            attempts,
            status=status,
            code=last.code,
            retry_after_s=min(waits) if status == 429 and waits else None,
        )


class NoUsableModel(UpstreamError):
    code = "no_usable_model"

    def __init__(self, chain: str) -> None:
        super().__init__(
            f"“{chain}” has no model that can be asked: it is empty, or its providers have no API key. An "
            "administrator can add links to the chain, and keys to the providers (or set OPENAI_API_KEY and the like).",
            [],
            status=503,
            headers={"x-should-retry": "false"},
        )


class UpstreamRejected(UpstreamError):
    """The provider found the request wrong: its own status, code and message are passed on."""

    type = "invalid_request_error"

    def __init__(self, failure: UpstreamFailure, attempts: Sequence[Attempt]) -> None:
        super().__init__(
            failure.message, attempts, status=failure.status or 400, code=failure.code, param=failure.param
        )


def _status_of(failures: Sequence[UpstreamFailure]) -> int:
    """By those that were asked: a model that rests said nothing."""
    failures = [failure for failure in failures if not isinstance(failure, BreakerOpen)]
    if all(isinstance(failure, RateLimited) for failure in failures):
        return 429
    if all(isinstance(failure, TimedOut) for failure in failures):
        return 504
    return 502

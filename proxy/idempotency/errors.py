"""Why a request with an Idempotency-Key is refused. Drawn in `accounts.errors`; added here:

InvalidRequest
├── InvalidKey               400   invalid_request_error   invalid_idempotency_key
├── IdempotencyConflict      409   invalid_request_error   idempotency_conflict
└── RequestInFlight          409   invalid_request_error   request_in_flight      Retry-After
"""

from accounts.errors import InvalidRequest

HEADER = "Idempotency-Key"
REPLAYED = "idempotent-replayed"
RETRY_IN_FLIGHT_S = 5.0


class InvalidKey(InvalidRequest):
    code = "invalid_idempotency_key"

    def __init__(self, longest: int) -> None:
        super().__init__(
            f"{HEADER} must be 1 to {longest} printable characters, such as a UUID. Choose a new one for each request.",
            param=HEADER,
        )


class IdempotencyConflict(InvalidRequest):
    """The key stands for another request."""

    status = 409
    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__(
            f"This {HEADER} was sent with another request in the last 24 hours. Send the same body to the same route "
            "to get its answer, or choose a new key.",
            param=HEADER,
            headers={"x-should-retry": "false"},
        )


class RequestInFlight(InvalidRequest):
    """The first sending of the request has no answer yet, and this caller has waited long enough."""

    status = 409
    code = "request_in_flight"

    def __init__(self) -> None:
        super().__init__(
            f"The request with this {HEADER} is still under way. Send it again in a moment to get its answer.",
            param=HEADER,
            retry_after_s=RETRY_IN_FLIGHT_S,
        )

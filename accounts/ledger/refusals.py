"""Why the ledger refuses, honestly: what is spent is final for the month, what is only reserved comes back.

GatewayError
├── RateLimited       429   rate_limit_error     rate_limit_exceeded   Retry-After
├── BudgetReserved    429   rate_limit_error     budget_reserved       Retry-After
└── BudgetSpent       429   insufficient_quota   insufficient_quota    x-should-retry: false
"""

from typing import Any

from accounts.errors import GatewayError, RateLimited
from accounts.limits import Budget, ConcurrencyLimit, Month, RateLimit, RateState, duration

WHOSE = {
    "global": "everyone together",
    "tenant": "your tenant",
    "user": "your user",
    "key": "your API key",
    "ip": "anonymous calls from your address",
}
RESERVED_RETRY_S = 2.0
BUSY_RETRY_S = 1.0
NEVER_RETRY_S = 60.0  # for clients that know nothing of x-should-retry


def rate_limited(limit: RateLimit, *, retry_ms: int, left: int = 0) -> RateLimited:
    """The refusal of a request that a rolling window has no room for; `retry_ms` until it has.

    `left`: requests, where several are refused together.
    """
    return RateLimited(
        f"The limit of {limit.limit} requests a minute for {WHOSE[limit.scope]} is reached. Wait {duration(retry_ms)}, "
        "then try again.",
        retry_after_s=retry_ms / 1000,
        headers=RateState(limit.limit, max(0, left), retry_ms).headers(),
    )


def never_fits(limit: RateLimit | ConcurrencyLimit, asked: int) -> RateLimited:
    """The refusal of a comparison of more models than a limit ever lets through together: waiting does not help."""
    when = "a minute" if isinstance(limit, RateLimit) else "at the same time"
    return RateLimited(
        f"This takes {asked} requests at once, and {WHOSE[limit.scope]} may make {limit.limit} {when}. Ask fewer "
        "models, or ask an administrator for a higher limit.",
        retry_after_s=NEVER_RETRY_S,
        headers={"x-should-retry": "false"},
    )


def too_many_at_once(limit: ConcurrencyLimit) -> RateLimited:
    """The refusal of a request that would be one too many at the same time."""
    return RateLimited(
        f"The limit of {limit.limit} requests at the same time for {WHOSE[limit.scope]} is reached. Wait until one of "
        "them has ended, then try again.",
        retry_after_s=BUSY_RETRY_S,
    )


class BudgetRefusal(GatewayError):
    """A budget has no room for the request."""

    status = 429

    def __init__(self, message: str, budget: Budget, month: Month, *, left: int, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.budget = budget
        self.counter = budget.counter(str(month))
        self.left = max(0, left)
        self.headers["x-gateway-budget-remaining-tokens"] = str(self.left)


class BudgetReserved(BudgetRefusal):
    """Requests in flight have reserved what is left; some of it will come back."""

    type = "rate_limit_error"
    code = "budget_reserved"

    def __init__(self, budget: Budget, month: Month, *, limit: int, spent: int, reserved: int, asked: int) -> None:
        super().__init__(
            f"The monthly token budget of {WHOSE[budget.scope]} has no room just now: requests in flight have "
            f"reserved {reserved:,} of the {limit - spent:,} tokens that are left, and this one may need {asked:,}. "
            "Try again in a moment, or send a smaller max_tokens.",
            budget,
            month,
            left=limit - spent - reserved,
            retry_after_s=RESERVED_RETRY_S,
        )


class BudgetSpent(BudgetRefusal):
    """What is left of the month cannot hold the request."""

    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, budget: Budget, month: Month, *, limit: int, spent: int, reserved: int, asked: int) -> None:
        super().__init__(
            f"The monthly token budget of {WHOSE[budget.scope]} ({limit:,} tokens, {spent:,} spent) cannot hold this "
            f"request, which may need {asked:,}. It starts anew on {month.end:%Y-%m-%d} ({month.zone.key}). Send a "
            "smaller max_tokens or a shorter prompt, or ask an administrator for a top-up.",
            budget,
            month,
            left=limit - spent - reserved,
            headers={"x-should-retry": "false"},
        )

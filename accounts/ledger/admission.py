"""What admission is asked for, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from accounts.errors import GatewayError, PartUnavailable, RateLimited
from accounts.ledger.refusals import BudgetReserved, BudgetSpent, never_fits, rate_limited, too_many_at_once
from accounts.limits import Budget, RateState
from accounts.quota import Quota


class StaleConfiguration(Exception):
    """The request was decided on an older configuration than the committed one: reload, decide again."""

    def __init__(self, current: int) -> None:
        super().__init__(f"version {current} is committed")
        self.current = current


class EpochEnded(Exception):
    """The counters were rebuilt, or have to be: this process must join `current` first; "" while there is none."""

    def __init__(self, current: str) -> None:
        super().__init__(f"epoch {current or '(none)'} is current")
        self.current = current


class OtherMonth(Exception):
    """By Redis's clock it is not the month that the request was decided for: decide again."""

    def __init__(self, now_ms: int) -> None:
        super().__init__(f"it is {now_ms} ms")
        self.now_ms = now_ms


@dataclass(slots=True)
class Reservation:
    """One request that wants to be admitted: `tokens` is the bound to reserve.

    `opening`: its usage event so far, a JSON object still open; `estimate` closes it if its process dies.
    """

    request_id: str
    opening: bytes
    tokens: int = 0
    estimate: bytes = b""

    @property
    def record(self) -> bytes:
        """The usage event if its process dies."""
        return self.opening + self.estimate


@dataclass(slots=True)
class Ask:
    """What admission is asked for: one request or several of one caller, all or none.

    `cached`: the answer's name in the cache, or ""; `seal`: what that entry begins with (its second line is what it
    adds to the usage event, a JSON object, and then comes the answer). `asked_ms`: when a single request was asked, by
    Redis's clock, if a cached answer settles it at once. `enforces`: False where all answers are there already, so
    that no budget refuses them.
    """

    version: int
    quota: Quota
    requests: Sequence[Reservation]
    cached: str = ""
    seal: bytes = b""
    asked_ms: int | None = None
    enforces: bool = True

    @property
    def tokens(self) -> int:
        return sum(request.tokens for request in self.requests)


@dataclass(slots=True)
class BudgetState:
    """One budget before this request's own reservation, in tokens. `limit` None: only counted."""

    budget: Budget
    limit: int | None
    spent: int
    reserved: int

    @property
    def left(self) -> int | None:
        """What the month has left, never below 0; None where there is no limit."""
        return None if self.limit is None else max(0, self.limit - self.spent - self.reserved)


@dataclass(slots=True)
class Admission:
    """The request was counted and, unless `entry` was in the cache, its tokens are reserved.

    `at_ms`: Redis time; `rate`: the tightest limit after this request, and `room`: what the tightest budget had left
    before, in tokens, each None where there is none; `breakers`: the models that failed lately, with their state.
    `is_settled`: the entry ended the request, with this `event` at this place in the usage stream (both empty if only
    the first reply was lost).
    """

    at_ms: int
    rate: RateState | None = None
    room: int | None = None
    breakers: dict[str, str] = field(default_factory=dict)
    entry: bytes | None = None
    is_settled: bool = False
    stream_id: bytes = b""
    event: bytes = b""


def read(reply: Sequence[Any], ask: Ask) -> Admission:
    """Turn the script's reply into an Admission, or raise what it stands for. `admit.lua` names the forms."""
    match reply[0]:
        case b"STALE":
            raise StaleConfiguration(int(reply[1]))
        case b"EPOCH":
            raise EpochEnded(reply[1].decode())
        case b"CLOSED":
            raise LedgerClosed(int(reply[1]))
        case b"OTHER_MONTH":
            raise OtherMonth(int(reply[1]))
        case b"GONE":
            raise AnswerLost
        case b"RATE":
            raise _rate_refusal(ask, *reply[1:])
        case b"BUSY":
            raise _refused(_busy_refusal(ask, reply[2]), ask, reply[1])
        case b"BUDGET":
            raise _refused(_budget_refusal(ask, *reply[2:]), ask, reply[1])
    rate = _rate_state(ask, reply[1], empty_ms=60_000)  # this request is the oldest, then
    room = None if reply[2] < 0 else reply[2]
    if reply[0] == b"CACHED":
        return Admission(reply[3], rate, room, {}, reply[4], len(reply) > 5, *reply[5:])
    flat = [item.decode() for item in reply[4]]
    return Admission(reply[3], rate, room, dict(zip(flat[::2], flat[1::2], strict=True)))


class AnswerLost(PartUnavailable):
    """The request was settled by an answer that the cache does not have any more. Nothing else may answer it."""

    def __init__(self) -> None:
        super().__init__("The answer was just lost on its way. Send the request again.")


class LedgerClosed(PartUnavailable):
    """The counters were rebuilt just now; admission opens when every process has had the time to join."""

    def __init__(self, ms: int = 1000) -> None:
        super().__init__(
            "The gateway's ledger is being rebuilt after Redis was lost. Try again in a moment.",
            retry_after_s=ms / 1000,
        )


def _rate_refusal(ask: Ask, which: int, left: int, retry_ms: int) -> RateLimited:
    limit, asked = ask.quota.rate_limits[which - 1], len(ask.requests)
    refusal = rate_limited(limit, retry_ms=retry_ms, left=left)
    if asked > limit.limit:
        never = never_fits(limit, asked)
        never.headers = {**refusal.headers, **never.headers}
        return never
    return refusal


def _busy_refusal(ask: Ask, which: int) -> RateLimited:
    gate, asked = ask.quota.gates[which - 1], len(ask.requests)
    return never_fits(gate, asked) if asked > gate.limit else too_many_at_once(gate)


def _budget_refusal(ask: Ask, which: int, spent: int, reserved: int) -> BudgetSpent | BudgetReserved:
    budget, month = ask.quota.budgets[which - 1], ask.quota.month
    limit = ask.quota.budget_limits[which - 1] or 0
    refusal = BudgetSpent if spent + ask.tokens > limit else BudgetReserved
    return refusal(budget, month, limit=limit, spent=spent, reserved=reserved, asked=ask.tokens)


def _refused(refusal: GatewayError, ask: Ask, tightest: Sequence[int]) -> GatewayError:
    """The refusal for another reason, which also tells what is left of the tightest rate limit."""
    if rate := _rate_state(ask, tightest):
        refusal.headers.update(rate.headers())
    return refusal


def _rate_state(ask: Ask, tightest: Sequence[int], *, empty_ms: int = 0) -> RateState | None:
    which, left, reset_ms = tightest
    if not which:
        return None
    return RateState(ask.quota.rate_limits[which - 1].limit, max(0, left), reset_ms or empty_ms)

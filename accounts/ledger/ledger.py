"""Admission and settlement, one script call each."""

import os
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from accounts.errors import PartUnavailable
from accounts.ledger import keys
from accounts.ledger.refusals import BudgetReserved, BudgetSpent, rate_limited
from accounts.limits import Budget, Month, RateLimit
from accounts.redis import CONFIGURATION_VERSION, Redis


class StaleConfiguration(Exception):
    """The request was decided on an older configuration than the committed one: reload, decide again."""

    def __init__(self, current: int) -> None:
        super().__init__(f"version {current} is committed")
        self.current = current


class OtherMonth(Exception):
    """By Redis's clock it is not the month that the request was decided for: decide again."""

    def __init__(self, now_ms: int) -> None:
        super().__init__(f"it is {now_ms} ms")
        self.now_ms = now_ms


@dataclass(frozen=True, slots=True)
class Ask:
    """What admission is asked for. `tokens`: the bound to reserve; `cached`: the answer's name in the cache, or ""."""

    request_id: str
    version: int
    record: bytes
    month: Month
    rate_limits: Sequence[RateLimit] = ()
    budgets: Sequence[Budget] = ()
    tokens: int = 0
    cached: str = ""


@dataclass(frozen=True, slots=True)
class RateState:
    """One rate limit after this request: what is left of it, and when its oldest request leaves the window (ms)."""

    limit: int
    remaining: int
    reset_ms: int


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget before this request's own reservation, in tokens."""

    budget: Budget
    spent: int
    reserved: int

    def left_in(self, month: Month) -> int | None:
        """What the month has left, never below 0; None where there is no limit."""
        limit = self.budget.limit_in(str(month))
        return None if limit is None else max(0, limit - self.spent - self.reserved)


@dataclass(frozen=True, slots=True)
class Admission:
    """The request was counted and, unless `answer` was in the cache, its tokens are reserved.

    `at_ms`: Redis time; `breakers`: the models that failed lately, with their state.
    """

    at_ms: int
    rates: list[RateState] = field(default_factory=list)
    budgets: list[BudgetState] = field(default_factory=list)
    breakers: dict[str, str] = field(default_factory=dict)
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a request ended: its usage event, the tokens that count, and an answer to keep for `keep_s` seconds."""

    request_id: str
    event: bytes
    tokens: int = 0
    counters: Sequence[str] = ()
    cached: str = ""
    keep_s: int = 0
    answer: bytes = b""


class Ledger:
    """The ledger as one web process uses it; `process` names the process in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.process = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._ahead_ms = 0.0  # how far Redis's clock is ahead of ours, as of the last reply

    def now_ms(self) -> float:
        """Redis's time, as near as we know it: months begin and end by it."""
        return time.time() * 1000 + self._ahead_ms

    async def admit(self, ask: Ask) -> Admission:
        """Count and reserve, or refuse.

        Raises StaleConfiguration and OtherMonth (decide again), RateLimited, BudgetReserved, BudgetSpent, or
        PartUnavailable if Redis does not answer.
        """
        month = str(ask.month)
        enforced = [budget.enforced_in(month) for budget in ask.budgets]
        names = [
            CONFIGURATION_VERSION,
            keys.reservation(ask.request_id),
            keys.reservations_of(self.process),
            keys.BREAKERS,
            ask.cached,
            *(limit.window for limit in ask.rate_limits),
            *(budget.counter(month) for budget in ask.budgets),
        ]
        arguments = [
            ask.version,
            ask.request_id,
            ask.record,
            ask.tokens,
            ask.month.start_ms,
            ask.month.end_ms,
            len(ask.rate_limits),
            *(limit.limit for limit in ask.rate_limits),
            *(-1 if limit is None else limit for limit in enforced),
        ]
        try:
            reply = await self._redis.run(keys.ADMIT, names, arguments)
        except RedisError as error:
            raise PartUnavailable("The gateway's ledger does not answer just now. Try again in a moment.") from error
        if reply[0] != b"STALE":
            self._ahead_ms = int(reply[1]) - time.time() * 1000
        return _read(reply, ask)

    async def settle(self, settlement: Settlement) -> bool:
        """Release the reservation and record the event; False if that was done before. Raises RedisError."""
        names = keys.settle_keys(settlement.request_id, self.process, settlement.cached, settlement.counters)
        arguments = [
            settlement.request_id,
            settlement.event,
            settlement.tokens,
            settlement.keep_s,
            settlement.answer,
        ]
        return bool(await self._redis.run(keys.SETTLE, names, arguments))

    async def checkpoint(self, request_id: str, completion_tokens: int) -> None:
        """Note how much a stream has delivered, in case this process dies. Raises RedisError."""
        await self._redis.execute("HSET", keys.reservation(request_id), "completion_tokens", completion_tokens)

    async def budget_states(self, budgets: Sequence[Budget], month: Month) -> list[BudgetState]:
        """The live counters. Raises RedisError."""
        asked = [self._redis.execute("HMGET", budget.counter(str(month)), "spent", "reserved") for budget in budgets]
        counted = [await reply for reply in asked]
        return [
            BudgetState(budget, int(spent or 0), int(reserved or 0))
            for budget, (spent, reserved) in zip(budgets, counted, strict=True)
        ]

    async def committed_version(self) -> int:
        """The configuration version that was published last. Raises RedisError."""
        return int(await self._redis.execute("GET", CONFIGURATION_VERSION) or 0)

    async def heartbeat(self) -> None:
        """Say that this process lives: its reservations stand for as long as it does. Raises RedisError."""
        seconds, _ = await self._redis.execute("TIME")
        await self._redis.execute("ZADD", keys.PROCESSES, int(seconds), self.process)

    async def leave(self) -> None:
        """Say goodbye at an orderly stop, when everything is settled. Raises RedisError."""
        if not await self._redis.execute("EXISTS", keys.reservations_of(self.process)):
            await self._redis.execute("ZREM", keys.PROCESSES, self.process)


def _read(reply: list, ask: Ask) -> Admission:  # type: ignore[type-arg]  # as Redis sends it
    """Turn the script's reply into an Admission, or raise what it stands for. The script's header names the forms."""
    verdict, at_ms = reply[0], int(reply[1])
    if verdict == b"STALE":
        raise StaleConfiguration(at_ms)
    if verdict == b"OTHER_MONTH":
        raise OtherMonth(at_ms)
    windows = _pairs(reply[2])
    if verdict == b"RATE":
        which = int(reply[3]) - 1
        raise rate_limited(ask.rate_limits[which], retry_ms=windows[which][1])
    if verdict == b"BUDGET":
        which, spent, reserved = (int(number) for number in reply[3:6])
        budget, month = ask.budgets[which - 1], ask.month
        limit = budget.limit_in(str(month)) or 0
        refusal = BudgetSpent if spent + ask.tokens > limit else BudgetReserved
        raise refusal(budget, month, limit=limit, spent=spent, reserved=reserved, asked=ask.tokens)
    rates = [
        RateState(limit.limit, max(0, limit.limit - used - 1), reset_ms or 60_000)
        for limit, (used, reset_ms) in zip(ask.rate_limits, windows, strict=True)
    ]
    if verdict == b"CACHED":
        return Admission(at_ms, rates, answer=reply[3])
    flat = [item.decode() for item in reply[3]]
    budgets = [BudgetState(budget, *counts) for budget, counts in zip(ask.budgets, _pairs(reply[4]), strict=True)]
    return Admission(at_ms, rates, budgets, dict(zip(flat[::2], flat[1::2], strict=True)))


def _pairs(flat: list) -> list[tuple[int, int]]:  # type: ignore[type-arg]
    numbers = [int(number) for number in flat]
    return list(zip(numbers[::2], numbers[1::2], strict=True))

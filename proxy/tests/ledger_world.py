"""A world for the ledger's model: processes, a Redis that forgets, and what was admitted."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

from hypothesis.stateful import RuleBasedStateMachine

from accounts.ledger import Ask, Ledger, Reservation, epoch, keys
from accounts.ledger.refusals import BudgetRefusal, BudgetReserved, BudgetSpent
from accounts.limits import Budget, Month, Scope
from accounts.models import MonthlyTally
from accounts.quota import Quota
from accounts.redis import Redis, sync_client
from accounts.tests.clock import RedisClock
from accounts.tests.ledgers import counted, open_empty_redis
from proxy.models import DeadLetter, StreamPosition, Usage
from proxy.tests.ledger_requests import Request, subjects_of
from proxy.usage.rebuild import rebuild

T = TypeVar("T")
UTC_ZONE = ZoneInfo("UTC")
MOMENTS = [datetime(2026, 11, 15, tzinfo=UTC), datetime(2026, 12, 15, tzinfo=UTC)]
MONTHS = ["2026-11", "2026-12"]
PROCESSES = 3
LIMITS: dict[Scope, int] = {"tenant": 2000, "user": 1500, "key": 1000}


@dataclass
class Process:
    """A web process; `life` tells it from those that were there before it."""

    life: int
    client: Redis
    ledger: Ledger


class LedgerWorld(RuleBasedStateMachine):
    """What the model's steps are made of: processes that share one Redis, and the requests that they admitted.

    `month`: the index of the present one in MONTHS. `top_ups`: tokens by scope and month.
    """

    clock: ClassVar[RedisClock]

    def begin(self) -> None:
        """An empty database and an empty Redis, and processes that have joined."""
        for rows in (Usage, MonthlyTally, StreamPosition, DeadLetter):
            rows.objects.all().delete()
        open_empty_redis()
        self.clock.set(MOMENTS[0])
        self.runner = asyncio.Runner()
        self.month = self.made = self.lives = 0
        self.known: dict[str, Request] = {}
        self.top_ups: Counter[tuple[str, str]] = Counter()
        self.is_exact = self.is_safe = True
        self.processes = [self.spawn() for _ in range(PROCESSES)]

    def teardown(self) -> None:
        for process in self.processes:
            self.run(process.client.close())
        self.runner.close()

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    def spawn(self) -> Process:
        self.lives += 1
        client = self.run(_client())
        process = Process(self.lives, client, Ledger(client))
        self.run(process.ledger.join(epoch.current()))
        self.run(process.ledger.heartbeat())
        return process

    def start_anew(self) -> None:
        """The counters are rebuilt, and every process joins."""
        self.is_exact = False
        self.clock.set(MOMENTS[self.month])
        rebuild()
        sync_client().hset(keys.EPOCH, "opens_ms", 0)
        for process in self.processes:
            self.run(process.ledger.join(epoch.current()))
            self.run(process.ledger.heartbeat())

    def admitted(self, made: list[Request]) -> list[Request]:
        """Twice, as if the first reply had been lost: it reserves once."""
        for _ in range(2):
            self.run(self.processes[made[0].place].ledger.admit(self.ask_of(made)))
        self.known.update({request.name: request for request in made})
        return made

    def make_request(self, place: int, key: str, tokens: int) -> Request:
        self.made += 1
        return Request(f"r{self.made}", place, self.processes[place].life, key, MONTHS[self.month], tokens)

    def ask_of(self, made: list[Request]) -> Ask:
        month = Month(UTC_ZONE, *map(int, MONTHS[self.month].split("-")))
        reservations = [Reservation(request.name, request.record, request.tokens) for request in made]
        return Ask(1, Quota(month, budgets=self.budgets(made[0].key)), reservations)

    def budgets(self, key: str) -> list[Budget]:
        return [
            Budget(scope, subject, LIMITS[scope], top_ups={month: self.top_ups[scope, month] for month in MONTHS})
            for scope, subject in subjects_of(key)
        ]

    def expected_refusal(self, key: str, tokens: int) -> type[BudgetRefusal] | None:
        month = MONTHS[self.month]
        for budget in self.budgets(key):
            spent, reserved = counted(budget.counter(month))
            if spent + reserved + tokens > (limit := budget.limit_in(month) or 0):
                return BudgetSpent if spent + tokens > limit else BudgetReserved
        return None

    def ended(self) -> list[Request]:
        return [request for request in self.known.values() if request.state != "open"]

    def is_alive(self, request: Request) -> bool:
        return request.name in self.known and self.processes[request.place].life == request.life

    def is_held(self, request: Request) -> bool:
        """Whether its process is alive, and has not settled it."""
        return self.is_alive(request) and request.state != "settled"

    def forget(self, request: Request) -> None:
        """It was known to Redis and a dead process; where it was recorded as swept, that stays."""
        if request.swept_is_recorded:
            request.state, request.used, request.recorded = "swept", request.swept_for, True
        else:
            del self.known[request.name]

    def release_strays(self, ledger: Ledger) -> None:
        for _ in range(2):
            self.run(ledger.release_strays())

    def beats(self) -> list[str]:
        found: Any = sync_client().zrange(keys.PROCESSES, 0, -1)
        return [name.decode() for name in found]

    def names(self) -> list[bytes]:
        found: Any = sync_client().keys("*")
        return list(found)

    def seconds(self) -> int:
        seconds: Any = sync_client().time()
        return int(seconds[0])


async def _client() -> Redis:
    return Redis()


async def note_progress(ledger: Ledger, request: Request) -> None:
    ledger.checkpoint(request.name, request.delivered)
    await ledger.committed_version()  # what was noted has arrived

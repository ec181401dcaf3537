"""The ledger as one web process uses it."""

import asyncio
import functools
import logging
import os
import socket
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from accounts.errors import PartUnavailable
from accounts.ledger import keys
from accounts.ledger.admission import Admission, Ask, BudgetState, EpochEnded, LedgerClosed, Reservation, read
from accounts.ledger.calls import Calls
from accounts.ledger.refusals import BudgetSpent
from accounts.ledger.settlement import Settlement
from accounts.quota import Quota
from accounts.redis import CONFIGURATION_VERSION, Redis

logger = logging.getLogger(__name__)

NO_EPOCH = "none yet"  # never an epoch's id
# What Redis could lose is kept until it is in the database. An event takes about 1 KB.
MOST_KEPT = 50_000
STRAYS_EVERY_S = 5.0


@dataclass(slots=True)
class Open:
    """A request that this process holds a reservation for, as it would be registered again."""

    reservation: Reservation
    counters: tuple[str, ...]
    gates: tuple[str, ...]
    begun: bool  # whether a provider is asked, so that a crash is billed
    completion_tokens: int = 0


class Ledger:
    """Admits and settles; `process` names the process in Redis.

    It keeps what only it knows, to bring it along into a new epoch: the requests under way, and the events that are not
    in the database yet.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.process = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._reservations = keys.reservations_of(self.process)
        self._calls = Calls(self.process)
        self.epoch = NO_EPOCH
        self._ahead_ms = 0.0  # how far Redis's clock is ahead of ours, as of the last reply
        self._open: dict[str, Open] = {}
        self._kept: OrderedDict[tuple[int, int], Settlement] = OrderedDict()
        self._joining = asyncio.Lock()
        self._strays: set[str] = set()
        self._looked_for_strays = 0.0

    def now_ms(self) -> float:
        """Redis's time, as near as we know it: months begin and end by it."""
        return time.time() * 1000 + self._ahead_ms

    def forget_callers(self) -> None:
        """What is kept of their limits: a new configuration may have others."""
        self._calls.forget()

    async def admit(self, ask: Ask) -> Admission:
        """Count and reserve, or refuse.

        Raises StaleConfiguration and OtherMonth (decide again), RateLimited, BudgetReserved, BudgetSpent, or
        PartUnavailable if Redis does not answer or its counters are being rebuilt.
        """
        try:
            try:
                return await self._admit(ask)
            except EpochEnded as ended:
                await self.join(ended.current)
            return await self._admit(ask)
        except RedisError as error:
            raise PartUnavailable("The gateway's ledger does not answer just now. Try again in a moment.") from error
        except EpochEnded as error:
            raise LedgerClosed from error

    async def _admit(self, ask: Ask) -> Admission:
        """If its reply is lost, Redis holds a reservation that nobody here knows: `release_strays` finds it."""
        epoch = self.epoch
        admission = read(await self._redis.run_prepared(*self._calls.admission(ask, epoch)), ask)
        self._ahead_ms = admission.at_ms - time.time() * 1000
        if admission.is_settled:
            self._keep_hit(ask, admission)
            return admission
        for request in ask.requests:
            held = Open(request, ask.quota.counters, ask.quota.gate_names, begun=admission.entry is None)
            self._open[request.request_id] = held
            if epoch != self.epoch:  # another request joined meanwhile, and could not bring this one along
                await self._register(held, self.epoch)
        return admission

    async def settle(self, settlement: Settlement) -> bool:
        """Release the reservation and record the event; False if that was done before.

        Raises RedisError, and EpochEnded where the counters are being rebuilt: try again in a moment.
        """
        try:
            return await self._settle(settlement)
        except EpochEnded as ended:
            await self.join(ended.current)
        return await self._settle(settlement)

    async def _settle(self, settlement: Settlement) -> bool:
        reply = await self._redis.run_prepared(*self._calls.settlement(settlement, self.epoch))
        return self.note_settled(settlement, reply)

    def begin_to_settle(self, settlement: Settlement) -> "asyncio.Future[Any]":
        """The first try of `settle`, not waited for: pass the reply, if there is one, to `note_settled`."""
        return self._redis.call(*self._calls.settlement(settlement, self.epoch))

    def note_settled(self, settlement: Settlement, reply: Sequence[Any]) -> bool:
        """What `settle` says and raises."""
        if reply[0] == b"EPOCH":
            raise EpochEnded(reply[1].decode())
        self._open.pop(settlement.request_id, None)
        if reply[0] == b"KNOWN":
            return False
        self._keep(reply[1], settlement)
        return True

    async def join(self, epoch: str) -> None:
        """Enter an epoch with what this process holds: requests under way, events not known to be in the database.

        Raises RedisError; EpochEnded if there is none, or it has ended meanwhile. Goes on to its end even if the caller
        hangs up: half of what is held must not stay behind.
        """
        await asyncio.shield(asyncio.ensure_future(self._join(epoch)))

    async def _join(self, epoch: str) -> None:
        async with self._joining:
            if epoch == self.epoch:
                return
            if not epoch:
                raise EpochEnded("")
            for held in list(self._open.values()):
                await self._register(held, epoch)
            logger.info("Joined the ledger's epoch %s with %d requests under way.", epoch, len(self._open))
            self.epoch = epoch
            kept, self._kept = self._kept, OrderedDict()
            while kept:
                place, settlement = kept.popitem(last=False)
                try:
                    await self._settle(settlement)
                except (RedisError, EpochEnded):
                    self._kept = OrderedDict({place: settlement, **kept, **self._kept})
                    self.epoch = NO_EPOCH
                    raise

    async def _register(self, held: Open, epoch: str) -> None:
        request = held.reservation
        names = [
            keys.reservation(request.request_id),
            self._reservations,
            *(keys.SETTLED, keys.EPOCH),
            *held.counters,
            *held.gates,
        ]
        arguments = [request.request_id, request.record, request.tokens, epoch]
        arguments += [int(held.begun), held.completion_tokens, len(held.counters)]
        if await self._redis.run(keys.REGISTER, names, arguments) < 0:
            raise EpochEnded("")

    def checkpoint(self, request_id: str, completion_tokens: int) -> None:
        """Note how much a stream has delivered, in case this process dies. Not waited for."""
        if held := self._open.get(request_id):
            held.completion_tokens = completion_tokens
            noted = self._redis.call(self._calls.checkpoint, (keys.reservation(request_id),), (completion_tokens,))
            noted.add_done_callback(functools.partial(self._note_anew, request_id, completion_tokens))

    def note_exhausted(self, refusal: BudgetSpent) -> None:
        """Remember which budget had no room left, for its warning. Not waited for."""
        noted = self._redis.execute("SADD", keys.EXHAUSTED, refusal.counter)
        noted.add_done_callback(_log_failure)

    def _note_anew(self, request_id: str, completion_tokens: int, noted: "asyncio.Future[Any]") -> None:
        """What `Redis.run_prepared` does, without a task for a reply that nobody waits for."""
        if not noted.cancelled() and isinstance(noted.exception(), NoScriptError):
            operands = self._calls.checkpoint.operands((keys.reservation(request_id),), (completion_tokens,))
            noted = self._redis.execute("EVAL", keys.CHECKPOINT.source, *operands)
            noted.add_done_callback(_log_failure)
        else:
            _log_failure(noted)

    async def budget_states(self, quota: Quota) -> list[BudgetState]:
        """The live counters. Raises RedisError."""
        asked = [self._redis.execute("HMGET", counter, "spent", "reserved") for counter in quota.counters]
        counted = [await reply for reply in asked]
        return [
            BudgetState(budget, limit, int(spent or 0), int(reserved or 0))
            for budget, limit, (spent, reserved) in zip(quota.budgets, quota.budget_limits, counted, strict=True)
        ]

    async def committed_version(self) -> int:
        """The configuration version that was published last. Raises RedisError."""
        return int(await self._redis.execute("GET", CONFIGURATION_VERSION) or 0)

    async def current_epoch(self) -> str:
        """The epoch of the counters, "" while there is none. Raises RedisError."""
        found: bytes | None = await self._redis.execute("HGET", keys.EPOCH, "id")
        return found.decode() if found else ""

    async def heartbeat(self) -> None:
        """Say that this process lives: its reservations stand for as long as it does. Raises RedisError."""
        seconds, microseconds = await self._redis.execute("TIME")
        self._ahead_ms = int(seconds) * 1000 + int(microseconds) / 1000 - time.time() * 1000
        drained, _ = await asyncio.gather(
            self._redis.execute("GET", keys.DRAINED),
            self._redis.execute("ZADD", keys.PROCESSES, int(seconds), self.process),
        )
        self._forget_drained(drained or b"0-0")
        if time.monotonic() - self._looked_for_strays >= STRAYS_EVERY_S:
            await self.release_strays()

    async def release_strays(self) -> int:
        """Give back what Redis holds for this process and no request here stands for, at two looks in a row.

        That is left of admissions whose reply was lost: those callers were told 503. Raises RedisError.
        """
        self._looked_for_strays = time.monotonic()
        held: Iterable[bytes] = await self._redis.execute("SMEMBERS", self._reservations)
        unknown = {request_id.decode() for request_id in held} - self._open.keys()
        strays, self._strays = unknown & self._strays, unknown
        for request_id in strays:
            await self.release(request_id)
        return len(strays)

    async def release(self, request_id: str) -> None:
        """Give back a reservation without a usage event, as if the request had not been admitted. Raises RedisError."""
        names = [keys.reservation(request_id), self._reservations]
        await self._redis.run(keys.RELEASE, names, [request_id])
        self._open.pop(request_id, None)

    async def leave(self) -> None:
        """Say goodbye at an orderly stop, when everything is settled. Raises RedisError."""
        if not await self._redis.execute("EXISTS", self._reservations):
            await self._redis.execute("ZREM", keys.PROCESSES, self.process)

    def _keep_hit(self, ask: Ask, admission: Admission) -> None:
        if admission.stream_id:
            [request] = ask.requests
            counted = ask.quota.counters, ask.quota.gate_names
            self._keep(admission.stream_id, Settlement(request.request_id, admission.event, 0, *counted))

    def _keep(self, stream_id: bytes, settlement: Settlement) -> None:
        self._kept[_place(stream_id)] = settlement.record
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _forget_drained(self, position: bytes) -> None:
        drained = _place(position)
        while self._kept and next(iter(self._kept)) <= drained:
            self._kept.popitem(last=False)


def _place(stream_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition(b"-")
    return int(milliseconds), int(sequence)


def _log_failure(noted: "asyncio.Future[Any]") -> None:
    if not noted.cancelled() and (error := noted.exception()):
        logger.warning("Something about a request was not noted: %s", type(error).__name__)

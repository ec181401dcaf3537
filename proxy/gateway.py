"""The gateway of one web process: its parts put together, and the three steps around each request.

admit    authenticate, resolve the route, reserve: on the newest committed configuration
relay    ask the route's links (proxy.relay)
finish   settle and record, whatever becomes of the caller
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from django.conf import settings
from redis.exceptions import RedisError

from accounts.callers import Caller
from accounts.credentials import Credentials
from accounts.errors import GatewayError, InvalidCredential, NotFound, NotPermitted, PartUnavailable
from accounts.ledger import EpochEnded, Ledger, Settlement, Settlements, StaleConfiguration
from accounts.ledger.local_limits import LocalLimits
from accounts.models import ConfigurationVersion
from accounts.redis import Redis, publish_configuration_version
from accounts.sql import run_long_sql, run_sql
from proxy import admission, cache, catalogue
from proxy.breakers import Breakers
from proxy.call import Call
from proxy.catalogue import Catalogue
from proxy.errors import NoUsableModel, UpstreamRejected
from proxy.metering import is_measured, measure
from proxy.relay import Relay
from proxy.upstreams import Upstreams
from proxy.upstreams.failures import UpstreamFailure
from proxy.usage.rebuild import rebuild

logger = logging.getLogger(__name__)

POLL_S = 1.0
MOST_RELOADS = 5
SETTLE_PATIENCE_S = 5.0

# What an older configuration may have caused.
REFUSALS = (InvalidCredential, NotPermitted, NotFound, NoUsableModel)

# These statuses bill no tokens.
USED_NOTHING = frozenset({"failed", "rejected"})
COSTS_NOTHING = {"x-gateway-cost-usd": "0.000000"}

Decide = Callable[[Catalogue], Awaitable[Call]]
DecideAll = Callable[[Catalogue], Awaitable[Sequence[Call]]]


class Gateway:
    """Everything that the hot path keeps in memory. Belongs to one event loop: `start` it there, and `stop` it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.redis = Redis()
        self.ledger = Ledger(self.redis)
        self.settlements = Settlements(self.ledger, Path(settings.GATEWAY_DATA_DIR) / "spool")
        self.credentials = Credentials()
        self.upstreams = Upstreams()
        self.breakers = Breakers(self.redis)
        self.relay = Relay(self.upstreams, self.breakers)
        self.local_limits = LocalLimits()
        self.catalogue: Catalogue | None = None
        self._reloading = asyncio.Lock()
        self._background: list[asyncio.Task[None]] = []
        self._preparing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the catalogue if the database answers; if not, requests get 503 until it does."""
        self.settlements.recover()
        await self._watch_configuration_once()
        await self._beat_once()
        self._background = [
            asyncio.create_task(_forever(self._watch_configuration_once, POLL_S)),
            asyncio.create_task(_forever(self._beat_once, POLL_S)),
        ]

    async def stop(self) -> None:
        """Settle what is under way, then give everything back."""
        for task in (*self._background, self._preparing):
            if task:
                task.cancel()
        await self.settlements.close(SETTLE_PATIENCE_S)
        await self.upstreams.close()
        try:
            await self.ledger.leave()
        except RedisError as error:
            logger.warning("Redis did not take the goodbye (%s); the sweep will.", type(error).__name__)
        await self.redis.close()

    async def authenticate(self, headers: Mapping[str, str], ip: str) -> tuple[Caller, Catalogue]:
        """The caller and the catalogue for a request that is not admitted, on the newest committed configuration."""
        catalogue = await self.newest_catalogue()
        return await self.credentials.authenticate(headers, ip), catalogue

    async def newest_catalogue(self) -> Catalogue:
        """The catalogue of the newest committed configuration, as far as Redis can tell."""
        await self._refresh_if_stale()
        return self._loaded()

    async def admit(self, decide: Decide) -> Call:
        """Reserve for the call that `decide` makes (it authenticates the caller and resolves the route).

        Both happen on one configuration, which is the newest committed one. Raises the refusals of `accounts.errors`
        and `proxy.errors`; one that an older configuration may have caused is never given.
        """

        async def decide_all(catalogue: Catalogue) -> Sequence[Call]:
            return [await decide(catalogue)]

        [call] = await self.admit_together(decide_all)
        return call

    async def admit_together(self, decide: DecideAll) -> Sequence[Call]:
        """The same for several calls of one caller: all are admitted, or none. Each is finished by itself."""
        for _ in range(MOST_RELOADS):
            known = self._loaded()
            try:
                calls = await decide(known)
                await self._reserve(calls, known.version)
            except StaleConfiguration as stale:
                await self.reload(stale.current)
            except REFUSALS:
                reloaded = await self._refresh_if_stale()
                if not reloaded and self.catalogue is known:  # another request may have reloaded it meanwhile
                    raise
            else:
                return calls
        raise PartUnavailable("The gateway's configuration is changing just now. Try again in a moment.")

    async def read_cache(self, call: Call) -> None:
        """Take the call's answer from the cache if it is there: for calls that are admitted together with others."""
        try:
            entry = await self.redis.execute("GET", call.cached_name)
        except RedisError:
            return
        call.cached = cache.unpack(entry, call.cache_seal) if entry else None

    async def _reserve(self, calls: Sequence[Call], version: int) -> None:
        """What is reserved for a caller who hangs up at this very moment is given back."""
        try:
            await admission.admit(self.ledger, calls, version, self.local_limits)
        except asyncio.CancelledError as hung_up:
            self.settlements.start(self._give_back(calls, version, hung_up))
            raise

    async def _give_back(self, calls: Sequence[Call], version: int, hung_up: BaseException) -> None:
        """Whether they were admitted is not known. So they are admitted, which counts once, and finished."""
        try:
            await admission.admit(self.ledger, calls, version, self.local_limits)
        except (GatewayError, StaleConfiguration):
            return
        for call in calls:
            self.finish(call, hung_up)

    def finish(self, call: Call, error: BaseException | None = None, *, answer: bytes = b"") -> None:
        """Settle and record the call, in a moment and whatever becomes of its caller.

        `error` is what ended it, None an answer; `answer`: a whole one that may be kept in the cache. A call that the
        cache answered may be settled by its admission.
        """
        if call.admission and call.admission.is_settled:
            return
        status, error_code = _outcome(call, error)
        if status in USED_NOTHING or is_measured(call):  # the answer goes out first
            self.settlements.begin_soon(functools.partial(self._settlement, call, status, error_code, answer))
        else:
            self.settlements.start(self._count_and_settle(call, status, error_code, answer))

    def finish_on_error(self, call: Call) -> "FinishOnError":
        """Finish the call if what happens inside fails, or the caller hangs up."""
        return FinishOnError(self, call)

    def checkpoint(self, call: Call) -> None:
        """Note how far a stream is, in case this process dies. Not waited for."""
        if call.meter:
            self.ledger.checkpoint(call.request_id, call.meter.delivered.pieces)

    async def _count_and_settle(self, call: Call, status: str, error_code: str, answer: bytes) -> None:
        await measure(call)
        await self.settlements.settle(self._settlement(call, status, error_code, answer))

    def _settlement(self, call: Call, status: str, error_code: str, answer: bytes) -> Settlement:
        keep = bool(answer) and call.is_cacheable
        return Settlement(
            request_id=call.request_id,
            event=call.usage_event(status, error_code),
            tokens=call.tokens.total if call.tokens else 0,
            counters=call.quota.counters,
            gates=call.quota.gate_names,
            cached=call.cached_name if keep else "",
            keep_s=call.route.cache_ttl_s if keep else 0,
            answer=call.pack(answer) if keep else b"",
        )

    def _loaded(self) -> Catalogue:
        if self.catalogue is None:
            raise PartUnavailable("The gateway is starting: its database has not answered yet. Try again in a moment.")
        return self.catalogue

    async def reload(self, at_least: int) -> None:
        """Read the configuration again, unless somebody else just read this version. Raises PartUnavailable."""
        async with self._reloading:
            if self.catalogue is None or self.catalogue.version < at_least:
                # A database restored from a backup is behind what was published: it must not stay so for ever.
                await run_sql(ConfigurationVersion.raise_to, at_least)
                self.catalogue = await run_sql(catalogue.load)
                self.credentials.forget()
                self.ledger.forget_callers()
                self._preparing = asyncio.create_task(self.upstreams.prepare(self.catalogue.targets()))

    async def _refresh_if_stale(self) -> bool:
        """Reload if a newer version was published; False if there is none, or Redis cannot say."""
        try:
            committed = await self.ledger.committed_version()
        except RedisError:
            return False
        if self.catalogue and committed <= self.catalogue.version:
            return False
        await self.reload(committed)
        return True

    async def _watch_configuration_once(self) -> None:
        """Catch what was committed but not published: by commands of an embedded gateway, or with Redis away."""
        try:
            version = await run_sql(ConfigurationVersion.current)
            if self.catalogue is None or version > self.catalogue.version:
                await self.reload(version)
                await asyncio.to_thread(publish_configuration_version, version)
        except PartUnavailable as error:
            logger.warning("Could not look for a new configuration: %s", error.__cause__ or error)

    async def _beat_once(self) -> None:
        try:
            await self.ledger.heartbeat()
            await self._follow_epoch()
        except RedisError as error:
            logger.warning("No heartbeat: Redis does not answer (%s).", type(error).__name__)
        except (EpochEnded, PartUnavailable) as error:
            logger.warning("The ledger stays closed for now: %s", error.__cause__ or error)
        await self.settlements.spool()

    async def _follow_epoch(self) -> None:
        """Join the epoch of the counters; where there is none, Redis lost them: rebuild them from the database."""
        current = await self.ledger.current_epoch()
        if not current:
            current = await run_long_sql(rebuild)
        await self.ledger.join(current)


class FinishOnError:
    """A context manager of its own: a generator costs ten times as much."""

    __slots__ = ("_call", "_gateway")

    def __init__(self, gateway: Gateway, call: Call) -> None:
        self._gateway = gateway
        self._call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            return
        if isinstance(error, GatewayError):
            error.headers = {**COSTS_NOTHING, **self._call.headers(), **error.headers}
        self._gateway.finish(self._call, error)


async def _forever(step: Callable[[], Awaitable[None]], period_s: float) -> None:
    while True:
        await asyncio.sleep(period_s)
        await step()


def _outcome(call: Call, error: BaseException | None) -> tuple[str, str]:
    """Status and error code of the usage row."""
    match error:
        case None:
            return ("cached" if call.cached else "ok"), ""
        case asyncio.CancelledError():
            return "client_closed", "client_closed"
        case UpstreamRejected():
            return "rejected", error.code
        case UpstreamFailure():
            return "cut", error.code
        case GatewayError():
            return "failed", error.code
        case _:
            return "failed", "internal_error"


_running: list[Gateway] = []


def running_or_none() -> Gateway | None:
    """This process's gateway; None where no server has started one."""
    return _running[-1] if _running else None


def running() -> Gateway:
    """This process's gateway; raises PartUnavailable before the server has started it."""
    gateway = running_or_none()
    if gateway is None:
        raise PartUnavailable("The gateway is starting. Try again in a moment.")
    return gateway


async def start() -> None:
    gateway = Gateway()
    await gateway.start()
    _running.append(gateway)


async def stop() -> None:
    await _running.pop().stop()

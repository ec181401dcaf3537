"""One request's claim on an idempotency key, shared by all processes through Redis.

A claim holds for a minute and is renewed while its request is under way, so a process that dies blocks a key for no
longer. The answer is kept as an entry of the response cache is: with tenant and name, which are checked on reading.
What is kept may also be where the answer will be found, noted before it is there (`bind`).
"""

import asyncio
import hashlib
import logging
import uuid
from pathlib import Path
from typing import Any

import orjson
from redis.exceptions import RedisError

from accounts.callers import Caller
from accounts.errors import PartUnavailable
from accounts.ledger import Settlements
from accounts.redis import Redis, Script, key as redis_key
from proxy import cache
from proxy.idempotency.errors import IdempotencyConflict, InvalidKey, RequestInFlight

logger = logging.getLogger(__name__)

CLAIM = Script(Path(__file__).parent / "claim.lua")
CLOSE = Script(Path(__file__).parent / "close.lua")

KEEP_S = 24 * 60 * 60
HOLD_S = 60.0
RENEW_EVERY_S = 20.0
LONGEST_KEY = 255
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.25


class Claim:
    """`key` names the request among all of its caller; `asked` is what must be the same when it is sent again."""

    def __init__(self, redis: Redis, settlements: Settlements, caller: Caller, key: str, asked: Any) -> None:
        if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
            raise InvalidKey(LONGEST_KEY)
        self._redis = redis
        self._settlements = settlements
        self._scope = caller.cache_scope
        self._digest = _digest(asked)
        self._claimant = uuid.uuid4().hex
        self._is_lost = False
        self._ended = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None
        name = _digest([caller.idempotency_scope, key])
        self.answer_name = redis_key("answer", name)
        self._keys = [redis_key("claim", name), self.answer_name]

    async def take(self, patience_s: float) -> bool:
        """True: the request is ours to carry out, and the claim to be closed. False: its answer is there.

        Waits while the same request is under way elsewhere. Raises IdempotencyConflict, RequestInFlight when it waited
        in vain, PartUnavailable if Redis does not answer.
        """
        loop = asyncio.get_running_loop()
        gives_up, pause = loop.time() + patience_s, FIRST_PAUSE_S
        while (found := await self._try()) == b"BUSY":
            if loop.time() + pause > gives_up:
                raise RequestInFlight
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
        if found == b"OTHER":
            raise IdempotencyConflict
        if found == b"ANSWERED":
            return False
        self._renewing = asyncio.create_task(self._renew())
        return True

    def keep(self, answer: bytes, model: str = "", provider: str = "") -> None:
        """Close it with an answer, which whoever sends the request again will get."""
        self._close(self._pack(answer, model, provider))

    async def bind(self, answer: bytes, patience_s: float) -> bool:
        """The same for an answer that is to come, and wait for it: False if another request has the key by now.

        Where Redis does not take it in time it is tried on, and the claim holds meanwhile.
        """
        closing = self._close(self._pack(answer))
        await asyncio.wait([closing], timeout=patience_s)
        return not self._is_lost

    async def kept(self) -> bytes:
        """What it was closed with, after `take` has found that. Raises PartUnavailable."""
        try:
            entry = await self._redis.execute("GET", self.answer_name)
        except RedisError:
            entry = None
        found = cache.unpack(entry, cache.seal_of(self.answer_name, self._scope)) if entry else None
        if found is None:  # Redis is away, or it was evicted this very moment
            raise unreadable()
        return found.raw

    def release(self) -> None:
        """Close it without an answer: the next one tries anew."""
        self._close(b"")

    def _pack(self, answer: bytes, model: str = "", provider: str = "") -> bytes:
        return cache.pack(self.answer_name, self._scope, answer, model, provider)

    def _close(self, entry: bytes) -> asyncio.Task[None]:
        return self._settlements.start(self._run_close(entry))

    async def _try(self) -> bytes:
        """Goes on to its end even if the caller hangs up meanwhile: a forgotten claim would block the key."""
        trying = asyncio.ensure_future(self._run_claim())
        try:
            return await asyncio.shield(trying)
        except asyncio.CancelledError:
            self._settlements.start(self._give_up(trying))
            raise
        except RedisError as error:
            self.release()  # perhaps only the reply was lost
            raise PartUnavailable(
                "The gateway cannot tell just now whether this request was answered before. Try again in a moment."
            ) from error

    async def _give_up(self, trying: "asyncio.Future[bytes]") -> None:
        await asyncio.wait([trying])
        self.release()

    async def _run_claim(self) -> bytes:
        found: bytes = await self._redis.run(CLAIM, self._keys, [self._digest, self._claimant, int(HOLD_S * 1000)])
        return found

    async def _renew(self) -> None:
        while not await _within(RENEW_EVERY_S, self._ended):
            try:
                await self._run_claim()
            except RedisError as error:
                logger.warning("An idempotency key could not be held: %s", type(error).__name__)

    async def _run_close(self, entry: bytes) -> None:
        """As long as the claim may be there; then it has ended by itself."""
        self._ended.set()
        if self._renewing:
            await self._renewing
        loop = asyncio.get_running_loop()
        gives_up, pause = loop.time() + HOLD_S, FIRST_PAUSE_S
        while True:
            try:
                done = await self._redis.run(CLOSE, self._keys, [self._claimant, self._digest, KEEP_S, entry])
            except RedisError as error:
                if loop.time() > gives_up:
                    logger.warning("The answer to a request with an idempotency key is not kept: %s", error)
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
            else:
                self._is_lost = not done
                return


def unreadable() -> PartUnavailable:
    return PartUnavailable("The gateway cannot read the answer to this request just now. Try again in a moment.")


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False

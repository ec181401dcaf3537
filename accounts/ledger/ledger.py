"""Admission and settlement, one script call each."""

import os
import socket
import uuid
from dataclasses import dataclass

from redis.exceptions import RedisError

from accounts.errors import PartUnavailable
from accounts.ledger import keys
from accounts.redis import CONFIGURATION_VERSION, Redis


class StaleConfiguration(Exception):
    """The request was decided on an older configuration than the committed one: reload, decide again."""

    def __init__(self, current: int) -> None:
        super().__init__(f"version {current} is committed")
        self.current = current


@dataclass(frozen=True, slots=True)
class Admission:
    """A reservation was made. `at_ms`: Redis time; `breakers`: the models that failed lately, with their state."""

    at_ms: int
    breakers: dict[str, str]


class Ledger:
    """The ledger as one web process uses it; `process` names the process in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.process = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    async def admit(self, request_id: str, version: int, record: bytes) -> Admission:
        """Reserve for a request; raises StaleConfiguration, or PartUnavailable if Redis does not answer."""
        names = [
            CONFIGURATION_VERSION,
            keys.reservation(request_id),
            keys.reservations_of(self.process),
            keys.BREAKERS,
        ]
        try:
            reply = await self._redis.run(keys.ADMIT, names, [version, request_id, record])
        except RedisError as error:
            raise PartUnavailable("The gateway's ledger does not answer just now. Try again in a moment.") from error
        if reply[0] == b"STALE":
            raise StaleConfiguration(int(reply[1]))
        flat = [item.decode() for item in reply[2]]
        return Admission(int(reply[1]), dict(zip(flat[::2], flat[1::2], strict=True)))

    async def settle(self, request_id: str, event: bytes) -> bool:
        """Release the reservation and record the event; False if that was done before. Raises RedisError."""
        names = keys.settle_keys(request_id, self.process)
        return bool(await self._redis.run(keys.SETTLE, names, [request_id, event]))

    async def checkpoint(self, request_id: str, completion_tokens: int) -> None:
        """Note how much a stream has delivered, in case this process dies. Raises RedisError."""
        await self._redis.execute("HSET", keys.reservation(request_id), "completion_tokens", completion_tokens)

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

"""The one door to Redis: real where REDIS_URL is set, in this process (fakeredis) on the embedded default.

A Redis that does not answer is left alone until a ping gets through: whoever asks meanwhile is told at once, so that a
slow Redis never slows down what can do without it. Each new connection first checks that it still leads to
the Redis whose counters are known (`greet.lua`, accounts/ledger/epoch.py).

Commands that are issued in the same turn of the event loop travel as one pipeline, which costs a quarter of the CPU of
single calls. The pipeline runs in a task of its own: a caller that is cancelled never leaves its reply on a connection
for somebody else to read. Every key carries one hash tag, so that one script may touch them all.
"""

import asyncio
import functools
import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import hiredis
import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

if settings.EMBEDDED:
    import fakeredis  # brings numpy along, which a web process on a real Redis starts without

logger = logging.getLogger(__name__)

TAG = "{gw}"
# At once, for one event loop: enough to hide the round trip, few enough that no burst runs out of connections.
MOST_PIPELINES = 8
PROBE_EVERY_S = 0.1
CONFIGURATION_VERSION = f"{TAG}:configuration-version"
EPOCH = f"{TAG}:epoch"
SCRIPTS = Path(__file__).parent / "ledger" / "scripts"


def key(*parts: str) -> str:
    """A name in our key space: `key("reservation", "req_1")` is `{gw}:reservation:req_1`."""
    return ":".join((TAG, *parts))


class Script:
    """A Lua script from a file, called by its SHA-1."""

    def __init__(self, path: Path) -> None:
        self.source = path.read_text()
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class Redis:
    """The asynchronous client of one event loop."""

    def __init__(self) -> None:
        self._client = _async_client()
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._pipelines: set[asyncio.Task[None]] = set()
        self._probe: asyncio.Task[None] | None = None

    async def close(self) -> None:
        while self._pipelines:  # each one that ends may send what waited for it
            await asyncio.gather(*self._pipelines, return_exceptions=True)
        if self._probe:
            self._probe.cancel()
        await self._client.aclose()

    def execute(self, *command: Any) -> asyncio.Future[Any]:
        """Send a command with this turn's pipeline; await the reply. Raises RedisError."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        if self._probe:
            reply.set_exception(redis.ConnectionError("Redis did not answer lately."))
            return reply
        self._waiting.append((command, reply))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush)
        return reply

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        """Call a script; loads it where the server does not know it. Raises RedisError."""
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self.execute("EVAL", script.source, len(keys), *keys, *args)

    def _leave_alone(self) -> None:
        if self._probe is None:
            self._probe = asyncio.create_task(self._wait_until_it_answers())

    async def _wait_until_it_answers(self) -> None:
        while True:
            try:
                await self._client.ping()
            except (RedisError, OSError):
                await asyncio.sleep(PROBE_EVERY_S)
            else:
                self._probe = None
                return

    def _flush(self) -> None:
        """Send what waits; while enough pipelines are under way it goes with the next one, which is then fuller."""
        if not self._waiting or len(self._pipelines) >= MOST_PIPELINES:
            return
        batch, self._waiting = self._waiting, []
        task = asyncio.create_task(self._send(batch))
        self._pipelines.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, pipeline: asyncio.Task[None]) -> None:
        self._pipelines.discard(pipeline)
        self._flush()

    async def _send(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for command, _ in batch:
                    pipeline.execute_command(*command)
                replies = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            self._leave_alone()
            replies = [error if isinstance(error, RedisError) else redis.ConnectionError(str(error))] * len(batch)
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():  # its caller was cancelled
                continue
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)


@functools.cache
def sync_client() -> "redis.Redis":
    """The blocking client, for Celery tasks, commands and the admin."""
    if settings.EMBEDDED:
        return fakeredis.FakeRedis(server=_embedded_server())
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=5,
        socket_connect_timeout=settings.GATEWAY_REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


def run_script(script: Script, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
    """Call a script with the blocking client. Raises RedisError."""
    client = sync_client()
    try:
        return client.evalsha(script.sha, len(keys), *keys, *args)
    except NoScriptError:
        return client.eval(script.source, len(keys), *keys, *args)


def publish_configuration_version(version: int) -> None:
    """Tell every process that this version is committed. If Redis is down it is lost; they also poll the database."""
    try:
        run_script(_raise_version(), [CONFIGURATION_VERSION], [version])
    except RedisError as error:
        logger.warning("Could not publish configuration version %s: %s. It is polled within a second.", version, error)


def run_id() -> str:
    """Which life of Redis this is; "" for the one inside this process, which cannot come back as another one."""
    return "" if settings.EMBEDDED else str(sync_client().info("server")["run_id"])


@functools.cache
def _raise_version() -> Script:
    return Script(SCRIPTS / "raise_version.lua")


@functools.cache
def _greet() -> Script:
    return Script(SCRIPTS / "greet.lua")


async def _on_connect(connection: "redis.asyncio.Connection") -> None:
    await connection.on_connect()
    await connection.send_command("EVAL", _greet().source, 1, EPOCH)
    await connection.read_response()


class _Packing:
    """For redis-py's connections: writes commands in C. Its own Python for it takes a fifth of a request."""

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join([hiredis.pack_command(tuple(command)) for command in commands])]


@functools.cache
def _embedded_server() -> "fakeredis.FakeServer":
    return fakeredis.FakeServer()


def _async_client() -> "redis.asyncio.Redis":
    if settings.EMBEDDED:
        return fakeredis.FakeAsyncRedis(server=_embedded_server())
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.GATEWAY_REDIS_TIMEOUT_S,
        socket_connect_timeout=settings.GATEWAY_REDIS_TIMEOUT_S,
        # One retry, so that a stale connection is not an error; the scripts are idempotent by request id. A mute Redis
        # is not asked twice.
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        redis_connect_func=_on_connect,
        max_connections=2 * MOST_PIPELINES,
    )
    pool = client.connection_pool
    pool.connection_class = type("PackingConnection", (_Packing, pool.connection_class), {})
    return client

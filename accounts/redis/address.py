"""Where Redis is, and what one says there first: what REDIS_URL tells."""

import asyncio
from collections.abc import Iterator
from typing import Any

import redis.asyncio
from django.conf import settings
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from accounts.redis.connection import Connection


class Address:
    """A redis://, rediss:// or unix:// URL, with the options that redis-py knows: it reads them for us.

    Those for a login, a database, a client's name, TLS and timeouts count; others are for redis-py's own connections.
    Raises ValueError or RedisError for a URL that makes no sense. `timeout_s`: how long Redis may be silent when asked.
    """

    def __init__(self, url: str) -> None:
        timeout_s = settings.GATEWAY_REDIS_TIMEOUT_S
        timeouts = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        pool: Any = redis.asyncio.ConnectionPool.from_url(url, **timeouts)
        self._parsed = pool.make_connection()
        self.timeout_s: float = self._parsed.socket_timeout

    async def connect(self, connection: Connection) -> None:
        """Open the connection, log in and choose the database. Raises RedisError."""
        try:
            async with asyncio.timeout(self._parsed.socket_connect_timeout):
                await self._open(connection)
        except TimeoutError as error:
            raise redis.TimeoutError("Redis did not take the connection in time.") from error
        except (OSError, UnicodeError) as error:  # the latter of a host name that cannot be one
            raise redis.ConnectionError(f"Redis did not take the connection: {error}.") from error
        for command in self._introduction():
            await connection.ask(*command)

    async def _open(self, connection: Connection) -> None:
        loop, parsed = asyncio.get_running_loop(), self._parsed
        if isinstance(parsed, UnixDomainSocketConnection):
            await loop.create_unix_connection(lambda: connection, parsed.path)
        else:
            tls = parsed.ssl_context.get() if isinstance(parsed, SSLConnection) else None
            await loop.create_connection(lambda: connection, parsed.host, parsed.port, ssl=tls)

    def _introduction(self) -> Iterator[tuple[str | int, ...]]:
        parsed = self._parsed
        if parsed.username or parsed.password:
            yield ("AUTH", *filter(None, (parsed.username, parsed.password or "")))
        if parsed.client_name:
            yield ("CLIENT", "SETNAME", parsed.client_name)
        if parsed.db:
            yield ("SELECT", parsed.db)

"""Connections to each origin, kept alive; opening one: addresses, TLS, the environment's proxies."""

import asyncio
import functools
import re
import socket
import ssl
from collections import defaultdict

import aiohappyeyeballs

from proxy.upstreams.failures import ConnectFailed, ConnectionBroken, TimedOut
from proxy.upstreams.http.connection import Connection
from proxy.upstreams.http.origin import Headers, Origin, Proxy, place_of
from proxy.upstreams.http.response import Response

# As nginx; Go keeps them for 90 s. One that its server gave up in this very moment costs a second try.
IDLE_CONNECTIONS_S = 60.0
ADDRESSES_KEPT_S = 30.0
HAPPY_EYEBALLS_DELAY_S = 0.25  # RFC 8305, section 5
MAX_PROXY_ANSWER_BYTES = 16 * 1024

AddressInfos = list[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]]


class Pool:
    """The connections of one event loop. There is no limit to them: the ledger decides who may call."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._busy: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._addresses = Addresses()
        self._is_closed = False

    async def post(
        self, url: str, api_key: str, body: bytes, *, connect_timeout_s: float, headers: Headers = ()
    ) -> Response:
        """POST JSON; the answer, once its head is here. Redirects are answers like any other.

        The key goes out as a Bearer's; `headers` are what a provider wants besides, or instead.

        Raises ConnectFailed, TimedOut (the connection, after so many seconds), ConnectionBroken, MalformedAnswer,
        CredentialRejected. A body that breaks off raises ConnectionBroken where it is read.
        """
        place = place_of(url, api_key, headers)
        connection = self._take(place.origin) or await self._open(place.origin, connect_timeout_s)
        response = connection.send(b"%b%d\r\n\r\n%b" % (place.head, len(body), body))
        self._busy.add(connection)
        try:
            await response.wait_for_head()
        except BaseException:
            response.close()
            raise
        return response

    async def close(self) -> None:
        """End every connection, also of answers that are still being read."""
        self._is_closed = True
        self._addresses.close()
        if self._sweeper:
            self._sweeper.cancel()
        for connection in [*self._busy, *(kept for idle in self._idle.values() for kept in idle)]:
            connection.abort()
        self._busy.clear()
        self._idle.clear()

    def _take(self, origin: Origin) -> Connection | None:
        """The connection that was used last: the one that its server is least likely to have given up."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_quiet:
                return connection
            connection.abort()
        return None

    def _retire(self, origin: Origin, connection: Connection, is_reusable: bool) -> None:
        self._busy.discard(connection)
        if not is_reusable:
            return
        connection.idle_since = self._loop.time()
        self._idle[origin].append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(IDLE_CONNECTIONS_S / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = self._loop.time() - IDLE_CONNECTIONS_S
        for origin, idle in list(self._idle.items()):
            for connection in idle:
                if connection.idle_since < oldest:
                    connection.abort()
            self._idle[origin] = [connection for connection in idle if connection.is_open]
            if not self._idle[origin]:
                del self._idle[origin]
        if self._idle:
            self._sweeper = self._loop.call_later(IDLE_CONNECTIONS_S / 2, self._sweep)

    async def _open(self, origin: Origin, timeout_s: float) -> Connection:
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connect(origin)
        except TimeoutError as error:
            raise TimedOut("The provider did not accept the connection in time.", code="connect_timeout") from error
        except (OSError, ValueError) as error:  # a name that no resolver takes is a ValueError
            raise ConnectFailed("The provider could not be reached.") from error
        if self._is_closed:
            connection.abort()
            raise ConnectionBroken("The gateway is closing its connections.")
        return connection

    async def _connect(self, origin: Origin) -> Connection:
        gate = origin.proxy or origin
        infos = await self._addresses.of(gate.host, gate.port)
        plain = await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if origin.proxy and origin.is_secure:
                await _tunnel(plain, origin, origin.proxy)
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop, functools.partial(self._retire, origin)),
                sock=plain,
                ssl=_tls() if origin.is_secure else None,
                server_hostname=origin.host if origin.is_secure else None,
            )
        except BaseException:
            plain.close()
            raise
        return connection


class Addresses:
    """What names stand for, asked once in a while: a burst of new connections asks one question."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, asyncio.Task[AddressInfos]]] = {}

    async def of(self, host: str, port: int) -> AddressInfos:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        until, asking = self._known.get((host, port), (0.0, None))
        if asking is None or until < loop.time() or (asking.done() and (asking.cancelled() or asking.exception())):
            asking = loop.create_task(_resolve(host, port))
            self._known[host, port] = loop.time() + ADDRESSES_KEPT_S, asking
        return await asyncio.shield(asking)

    def close(self) -> None:
        for _, asking in self._known.values():
            asking.cancel()


async def _resolve(host: str, port: int) -> AddressInfos:
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)  # type: ignore[return-value]


async def _tunnel(plain: socket.socket, origin: Origin, proxy: Proxy) -> None:
    """Ask a proxy for a way to the origin (CONNECT, RFC 9110 9.3.6). Raises ConnectionBroken, ConnectFailed."""
    loop = asyncio.get_running_loop()
    authority = origin.authority.encode("ascii")
    await loop.sock_sendall(
        plain, b"CONNECT %b HTTP/1.1\r\nHost: %b%b\r\n\r\n" % (authority, authority, proxy.authorization)
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = await loop.sock_recv(plain, 4096)
        if not data or len(answer) > MAX_PROXY_ANSWER_BYTES:
            raise ConnectionBroken("The proxy on the way to the provider broke off the connection.")
        answer += data
    if not re.match(rb"HTTP/1\.[01] 2\d\d\s", answer):
        raise ConnectFailed("The proxy on the way to the provider refused the connection.")


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

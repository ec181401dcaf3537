"""The way to a provider, its addresses, and what a pool leaves behind; under both event loops."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from proxy.tests.raw_server import (
    OK,
    Peer,
    RawServer,
    a_pool,
    always,
    answers,
    ask,
    happens,
    post,
    read,
    soon,
    until_hung_up,
)
from proxy.upstreams.failures import ConnectFailed, ConnectionBroken, CredentialRejected, TimedOut
from proxy.upstreams.http import Pool, pool as pool_module
from proxy.upstreams.http.origin import place_of

pytestmark = pytest.mark.both_loops

TO_THE_END = b"HTTP/1.1 200 OK\r\n\r\n"


def head_of(url: str, api_key: str = "") -> list[str]:
    return place_of(url, api_key).head.decode().split("\r\n")


@pytest.mark.parametrize(
    "url, target, host",
    [
        ("http://example.com/v1/chat", "/v1/chat", "example.com"),
        ("https://example.com:443/v1", "/v1", "example.com"),
        ("https://Example.com:80/v1", "/v1", "example.com:80"),
        ("http://example.com:8080", "/", "example.com:8080"),
        ("http://example.com/v1?a=b c", "/v1?a=b%20c", "example.com"),
        ("http://example.com/v1//chat", "/v1//chat", "example.com"),
        ("http://example.com/ä b/%20/c%2Fd", "/%C3%A4%20b/%20/c%2Fd", "example.com"),
        ("http://example.com/a\r\nX: y", "/aX:%20y", "example.com"),
        ("http://bücher.рф:8080/v1", "/v1", "xn--bcher-kva.xn--p1ai:8080"),
        ("http://my_ollama:11434/v1", "/v1", "my_ollama:11434"),
        ("http://[::1]:8080/v1", "/v1", "[::1]:8080"),
        ("http://[::1]/v1", "/v1", "[::1]"),
        ("http://me:secret@example.com/v1", "/v1", "example.com"),
    ],
)
async def test_the_head_of_a_request(url: str, target: str, host: str) -> None:
    lines = head_of(url)
    assert lines[:2] == [f"POST {target} HTTP/1.1", f"Host: {host}"]
    assert lines[-1] == "Content-Length: "
    assert not any(line.startswith("authorization") for line in lines)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http:///v1",
        "ftp://example.com",
        "http://[::1",
        "http://a:99999/",
        "http://a..b/",
        f"http://{'a' * 64}.example/",
    ],
)
async def test_an_address_that_is_none_cannot_be_reached(pool: Pool, url: str) -> None:
    with pytest.raises(ConnectFailed):
        await post(pool, url)


@pytest.mark.parametrize("key", ["sk-one\r\nX: y", "sk-ключ", "sk-\0", "sk-one\n"])
async def test_a_key_that_no_header_can_hold_is_refused_and_kept_secret(pool: Pool, key: str) -> None:
    with pytest.raises(CredentialRejected) as caught:
        await post(pool, "http://example.com/v1", key=key)
    assert "sk-" not in str(caught.value)


async def test_a_request_as_the_server_sees_it(pool: Pool) -> None:
    async with RawServer(answers(OK)) as server:
        await read(await post(pool, server.url, b'{"a":1}', key="sk-one"))
        assert server.peers[0].requests[0].decode().split("\r\n") == [
            "POST /v1 HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Accept-Encoding: identity",
            "user-agent: llm-gateway-proxy",
            "accept: */*",
            "content-type: application/json",
            "authorization: Bearer sk-one",
            "Content-Length: 7",
            "",
            '{"a":1}',
        ]


async def test_a_refused_connection(pool: Pool) -> None:
    async with RawServer(answers(OK)) as server:
        url = server.url
    with pytest.raises(ConnectFailed):
        await post(pool, url)


async def test_a_name_that_stands_for_nothing(pool: Pool) -> None:
    with pytest.raises(ConnectFailed):
        await post(pool, "http://nowhere.invalid/v1")


@contextlib.contextmanager
def a_black_hole() -> Iterator[str]:
    """A socket that listens, accepts nobody and has no room left: the kernel drops what knocks."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            knocking = sockets.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


async def test_a_connection_that_is_never_accepted_times_out(pool: Pool) -> None:
    with a_black_hole() as url, pytest.raises(TimedOut) as caught:
        await post(pool, url, connect_timeout_s=0.05)
    assert caught.value.code == "connect_timeout"


async def test_the_time_to_connect_counts_the_tls_handshake(pool: Pool) -> None:
    async with RawServer(until_hung_up) as server:
        with pytest.raises(TimedOut) as caught:
            await post(pool, server.secure_url, connect_timeout_s=0.05)
        assert caught.value.code == "connect_timeout"
        await happens(server.peers[0].hung_up)


async def test_a_caller_who_is_cancelled_while_connecting_leaves_no_socket_behind(pool: Pool) -> None:
    async with RawServer(until_hung_up) as server:
        asking = asyncio.create_task(post(pool, server.secure_url))
        await soon(lambda: bool(server.peers))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await happens(server.peers[0].hung_up)


async def test_a_caller_may_be_cancelled_at_every_step(pool: Pool) -> None:
    async with RawServer(always(OK)) as server:
        for turns in range(30):
            asking = asyncio.create_task(ask(pool, server.url.replace("127.0.0.1", "localhost")))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        await soon(lambda: sum(not peer.hung_up.is_set() for peer in server.peers) <= 1)
        assert not pool._busy


class Resolver:
    """Stands in for the system's: remembers the questions, answers when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.error: OSError | None = None
        monkeypatch.setattr(pool_module, "_resolve", self._resolve)

    async def _resolve(self, host: str, port: int) -> pool_module.AddressInfos:
        self.asked.append(host)
        await self.gate.wait()
        if self.error:
            raise self.error
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


async def test_a_burst_asks_for_an_address_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch)
    async with RawServer(answers(OK)) as server:
        url = f"http://provider.invalid:{server.port}/v1"
        asking = [asyncio.create_task(ask(pool, url)) for _ in range(10)]
        await soon(lambda: bool(resolver.asked))
        asking.pop().cancel()
        resolver.gate.set()
        assert await asyncio.gather(*asking) == [b"hi"] * 9
        assert len(resolver.asked) == 1
        monkeypatch.setattr(pool_module, "ADDRESSES_KEPT_S", -1.0)
        pool._addresses._known.clear()
        for _ in range(2):
            await soon(lambda: all(peer.closed.is_set() for peer in server.peers))
            assert await ask(pool, url) == b"hi"
        assert len(resolver.asked) == 3


async def test_an_ipv6_address_loses_its_brackets(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch)
    resolver.gate.set()
    async with RawServer(answers(OK)) as server:
        assert await ask(pool, f"http://[2001:db8::1]:{server.port}/v1") == b"hi"
        assert resolver.asked == ["2001:db8::1"]


async def test_an_address_that_was_not_found_is_asked_for_again(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch)
    resolver.gate.set()
    resolver.error = socket.gaierror("no such name")
    async with RawServer(answers(OK)) as server:
        url = f"http://provider.invalid:{server.port}/v1"
        with pytest.raises(ConnectFailed):
            await ask(pool, url)
        resolver.error = None
        assert await ask(pool, url) == b"hi"


async def test_a_closed_pool_ends_busy_and_idle_connections(pool: Pool) -> None:
    async def behave(peer: Peer) -> None:
        if peer.number == 0:
            await always(OK)(peer)
        await peer.request()
        await peer.send(TO_THE_END + b"half")
        await until_hung_up(peer)

    async with RawServer(behave) as server:
        await ask(pool, server.url)
        busy = [await post(pool, server.url.replace("/v1", path)) for path in ("/a", "/b")]
        assert len(server.peers) == 2
        await pool.close()
        for peer in server.peers:
            await happens(peer.hung_up)
        assert await read(busy[0]) == b"hi"
        assert await busy[1].read() == b"half"
        with pytest.raises(ConnectionBroken):
            await busy[1].read()
        busy[1].close()


async def test_a_pool_that_closes_while_a_request_connects(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(until_hung_up) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        asking = asyncio.create_task(post(pool, "https://provider.invalid/v1", connect_timeout_s=0.05))
        await soon(lambda: bool(proxy.peers))
        await pool.close()
        with pytest.raises(TimedOut):
            await asking
    async with RawServer(always(OK)) as server:
        with pytest.raises(ConnectionBroken):
            await post(pool, server.url)
        await happens(server.peers[0].hung_up)


async def test_a_pool_leaves_no_question_for_an_address_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch)
    before = asyncio.all_tasks()
    async with a_pool() as pool:
        with pytest.raises(TimedOut):
            await post(pool, "http://provider.invalid/v1", connect_timeout_s=0.01)
        assert len(resolver.asked) == 1
    assert asyncio.all_tasks() == before

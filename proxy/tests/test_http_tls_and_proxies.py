"""HTTPS, and the environment's proxies; under both event loops."""

import asyncio
import contextlib
import ssl

import pytest

from proxy.tests.raw_server import (
    OK,
    Behaviour,
    Peer,
    RawServer,
    always,
    answers,
    ask,
    happens,
    post,
    read,
    until_hung_up,
)
from proxy.upstreams.failures import ConnectFailed, ConnectionBroken, TimedOut
from proxy.upstreams.http import Pool
from proxy.upstreams.http.origin import place_of

pytestmark = pytest.mark.both_loops

TO_THE_END = b"HTTP/1.1 200 OK\r\n\r\n"


async def test_https_one_connection_for_many_requests(pool: Pool, tls: ssl.SSLContext) -> None:
    async with RawServer(always(OK), tls=tls) as server:
        assert [await ask(pool, server.secure_url) for _ in range(3)] == [b"hi"] * 3
        assert len(server.peers) == 1


async def test_https_a_slow_reader_of_a_body_that_ends_with_the_connection(pool: Pool, tls: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 16 * 1024
    async with RawServer(answers(TO_THE_END + body), tls=tls) as server:
        response = await post(pool, server.secure_url)
        await asyncio.sleep(0.1)
        assert await read(response) == body


async def test_https_under_another_name_is_refused(pool: Pool, tls: ssl.SSLContext) -> None:
    async with RawServer(always(OK), tls=tls) as server:
        with pytest.raises(ConnectFailed):
            await ask(pool, f"https://127.0.0.1:{server.port}/v1")


async def test_https_to_a_server_that_speaks_plain_http_fails(pool: Pool) -> None:
    async def behave(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(OK)

    async with RawServer(behave) as server:
        with pytest.raises(ConnectFailed):
            await ask(pool, server.secure_url)


async def test_a_proxy_is_asked_for_the_whole_address(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(answers(OK)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pass%40word@127.0.0.1:{proxy.port}")
        assert await ask(pool, "http://provider.invalid/v1") == b"hi"
        request = proxy.peers[0].requests[0]
        assert request.startswith(b"POST http://provider.invalid:80/v1 HTTP/1.1\r\nHost: provider.invalid\r\n")
        assert b"\r\nProxy-Authorization: Basic bWU6cGFzc0B3b3Jk\r\n" in request


@pytest.mark.parametrize("exception", ["127.0.0.1", "127.0.0.1:{port}"])
async def test_a_proxy_is_left_out_where_the_environment_says_so(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, exception: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    async with RawServer(answers(OK)) as server:
        monkeypatch.setenv("NO_PROXY", f"example.com,{exception.format(port=server.port)}")
        assert await ask(pool, server.url) == b"hi"


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize(
    "exception, url",
    [
        ("ollama:11434", "http://ollama:11434/v1"),
        ("Ollama:11434", "http://OLLAMA:11434/v1"),
        ("one.example, ollama:11434 ,two.example", "http://ollama:11434/v1"),
        ("example.com:80", "http://example.com/v1"),
        ("example.com:443", "https://example.com/v1"),
        ("example.com:8080", "http://api.example.com:8080/v1"),
        (".example.com:8080", "http://api.example.com:8080/v1"),
        ("10.0.0.7:8000", "http://10.0.0.7:8000/v1"),
        ("[::1]:8080", "http://[::1]:8080/v1"),
        ("[::1]", "http://[::1]:8080/v1"),
        ("::1", "http://[::1]:8080/v1"),
        ("*", "http://ollama:11434/v1"),
    ],
)
async def test_exceptions_from_the_proxy_may_name_a_port(
    monkeypatch: pytest.MonkeyPatch, exception: str, url: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    assert place_of(url, "").origin.proxy
    place_of.cache_clear()
    monkeypatch.setenv("NO_PROXY", exception)
    assert place_of(url, "").origin.proxy is None


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize(
    "exception, url",
    [
        ("ollama:11434", "http://ollama:11435/v1"),
        ("ollama:1143", "http://ollama:11434/v1"),
        ("ollama:11434", "http://ollama/v1"),
        ("ollama:11434", "http://my-ollama:11434/v1"),
        ("example.com:80", "https://example.com/v1"),
        ("[::1]:8080", "http://[::1]:8081/v1"),
        ("[::1]:8080", "http://[::2]:8080/v1"),
        (":11434", "http://ollama:11434/v1"),
    ],
)
async def test_an_exception_for_one_port_leaves_the_others_to_the_proxy(
    monkeypatch: pytest.MonkeyPatch, exception: str, url: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", exception)
    assert place_of(url, "").origin.proxy


@pytest.mark.parametrize("address", ["https://127.0.0.1:1", "socks5://127.0.0.1:1", "http://"])
async def test_a_proxy_of_another_kind_is_an_error(pool: Pool, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)
    with pytest.raises(ConnectFailed, match="not an http:// address"):
        await post(pool, "http://provider.invalid/v1")


async def test_a_proxy_whose_port_is_none_is_an_error(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:99999")
    with pytest.raises(ConnectFailed):
        await post(pool, "http://provider.invalid/v1")


def tunnel(answer: bytes, heads: list[bytes]) -> Behaviour:
    """A proxy that answers CONNECT so, and leads to the port that was asked for on this machine."""

    async def behave(peer: Peer) -> None:
        heads.append(await peer.head())
        await peer.send(answer)
        port = int(heads[0].split()[1].rpartition(b":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
            target.close()

        with contextlib.suppress(OSError):
            await asyncio.gather(pipe(peer.reader, writer), pipe(reader, peer.writer))

    return behave


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 Connection established\r\nA: b\r\n\r\n", b"HTTP/1.0 200\r\n\r\n"])
async def test_https_through_a_proxy(
    pool: Pool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    heads: list[bytes] = []
    async with RawServer(always(OK), tls=tls) as server, RawServer(tunnel(answer, heads)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me@127.0.0.1:{proxy.port}")
        assert [await ask(pool, server.secure_url) for _ in range(2)] == [b"hi"] * 2
        authority = f"localhost:{server.port}"
        assert [head.decode() for head in heads] == [
            f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic bWU6\r\n\r\n"
        ]
        assert not any(b"Proxy-Authorization" in request for request in server.peers[0].requests)
        await pool.close()


@pytest.mark.parametrize(
    "answer, failure",
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", ConnectFailed),
        (b"SSH 200 \r\n\r\n", ConnectFailed),
        (b"HTTP/1.1 200 OK\r\n", ConnectionBroken),
        (b"", ConnectionBroken),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**20, ConnectionBroken),
    ],
    ids=["407", "garbage", "cut", "nothing", "endless"],
)
async def test_a_proxy_that_leads_nowhere(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, answer: bytes, failure: type[Exception]
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)

    async with RawServer(behave) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(failure):
            await post(pool, "https://provider.invalid/v1")


async def test_a_proxy_that_never_answers_times_out(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(until_hung_up) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(TimedOut):
            await post(pool, "https://provider.invalid/v1", connect_timeout_s=0.05)
        await happens(proxy.peers[0].hung_up)

"""What a connection may do to the server: say nothing, say too much, speak another language, or an older one."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conftest import LiveGateway, wait_until
from proxy.http import connection as connections, server
from proxy.tests.conftest import Site
from proxy.tests.fake_provider import chunks, hang, stream
from proxy.tests.test_bad_http import BODY, CHAT, INVALID, JSON, sized
from proxy.tests.wire import assert_refused, chunked, connect, head, read, send

KB = 1024


@pytest.fixture(scope="module", autouse=True)
def _frequent_looks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "TICK_S", 0.02)
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.2)


def ends(connection: socket.socket) -> bool:
    """Whether the server closes the connection, with nothing more to say."""
    return connection.recv(1) == b""


def test_a_connection_that_says_nothing_is_closed(impatient: None, site: Site):
    with connect(site.gateway.url) as connection:
        assert ends(connection)


@pytest.mark.parametrize("start", [b"POST /v1/chat", b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: b", b"\r\n"])
@pytest.mark.parametrize("before", [b"", head("GET", "/health", {})], ids=["at once", "after a request"])
def test_a_head_that_does_not_end_is_given_up(before: bytes, start: bytes, impatient: None, site: Site):
    with connect(site.gateway.url) as connection:
        if before:
            connection.sendall(before)
            assert read(connection).status == 200
        connection.sendall(start)
        assert_refused(read(connection), 408, INVALID, "request_timeout")
        assert ends(connection)


def test_more_of_a_head_does_not_buy_more_time(impatient: None, site: Site):
    with connect(site.gateway.url) as connection:
        connection.settimeout(0.05)
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        received = b""
        while not received:
            connection.sendall(b"X-A: b\r\n")
            try:
                received = connection.recv(KB)
            except TimeoutError:
                continue
        assert received.startswith(b"HTTP/1.1 408 ")


@pytest.fixture
def soon_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_TIMEOUT_S", 0.3)


HEALTH = head("GET", "/health", {})


def test_a_connection_that_is_idle_for_long_is_closed(soon_idle: None, gateway: LiveGateway):
    with connect(gateway.url) as connection:
        connection.sendall(HEALTH)
        assert read(connection).status == 200
        assert ends(connection)


def test_a_connection_that_is_used_now_and_then_is_not_idle(soon_idle: None, gateway: LiveGateway):
    with connect(gateway.url) as connection:
        for _ in range(4):
            connection.sendall(HEALTH)
            assert read(connection).status == 200
            time.sleep(0.15)


def test_a_connection_whose_request_takes_long_is_not_idle(soon_idle: None, gateway: LiveGateway):
    with connect(gateway.url) as connection:
        connection.sendall(HEALTH)
        assert read(connection).status == 200
        connection.sendall(HEALTH[:-2])
        time.sleep(0.5)
        connection.sendall(HEALTH[-2:])
        assert read(connection).status == 200
        assert ends(connection)


def test_a_connection_rests_between_requests(impatient: None, site: Site):
    with connect(site.gateway.url) as connection:
        for _ in range(2):
            connection.sendall(head("GET", "/health", {}))
            assert read(connection).status == 200
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.recv(1)


def test_an_endless_head_is_refused(site: Site):
    with connect(site.gateway.url) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX-A: ")
        refused = _flood(connection, b"b" * 64 * KB)
        assert refused.startswith(b"HTTP/1.1 431 ")
        assert b'"headers_too_large"' in refused


def test_endless_trailers_break_the_body_off(site: Site):
    sent = {**JSON, **site.cast.alice.headers, "Transfer-Encoding": "chunked"}
    with connect(site.gateway.url) as connection:
        connection.sendall(head("POST", CHAT, sent) + b"2\r\n{}\r\n0\r\nX-A: ")
        refused = _flood(connection, b"b" * 64 * KB)
        assert refused.startswith(b"HTTP/1.1 400 ")
        assert b'"body_broken_off"' in refused


def _flood(connection: socket.socket, data: bytes) -> bytes:
    """Send until there is an answer; returns its beginning."""
    connection.settimeout(0.05)
    for _ in range(200):
        connection.sendall(data)
        try:
            return connection.recv(4 * KB)
        except TimeoutError:
            continue
    raise AssertionError("the server takes whatever comes")


def test_trailers_do_not_pass_for_headers(site: Site):
    sent = {**JSON, "Transfer-Encoding": "chunked"}
    trailer = f"Authorization: Bearer {site.cast.alice.key}\r\n\r\n".encode()
    body = b"".join(chunked(BODY))[:-2] + trailer
    assert send(site.gateway.url, head("POST", CHAT, sent), body).status != 200
    assert site.provider.received == []
    in_its_place = {**sent, **site.cast.alice.headers}
    assert send(site.gateway.url, head("POST", CHAT, in_its_place), body).status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\0\x01\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\n\r\n",
        b"CONNECT /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT http://a.example/ HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_in_the_contracts_form(
    garbage: bytes, site: Site, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        assert_refused(send(site.gateway.url, garbage), 400, INVALID, "not_http")
    assert caplog.records == []  # anybody could fill the log


def test_an_offer_of_another_protocol_is_declined(site: Site, caplog: pytest.LogCaptureFixture):
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA"}
    with caplog.at_level(logging.WARNING), connect(site.gateway.url) as connection:
        connection.sendall(head("POST", CHAT, sized(site, **offer)) + BODY)
        assert read(connection).status == 200
        connection.sendall(head("GET", "/health", {}))
        assert read(connection).status == 200
    assert caplog.records == []


def test_a_client_that_asks_first_is_told_to_go_on(site: Site):
    with connect(site.gateway.url) as connection:
        connection.sendall(head("POST", CHAT, sized(site, Expect="100-continue")))
        assert connection.recv(KB) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert read(connection).status == 200


def test_a_body_that_nobody_read_ends_the_connection(site: Site, settings: Any):
    settings.GATEWAY_BODY_TIMEOUT_S = 0.1
    with connect(site.gateway.url) as connection:
        connection.sendall(head("POST", CHAT, sized(site)) + BODY[:10])
        assert read(connection).status == 408
        assert ends(connection)


def old(path: str, headers: dict[str, str | bytes], method: str = "GET") -> bytes:
    return head(method, path, headers).replace(b"HTTP/1.1", b"HTTP/1.0", 1)


def test_http_1_0_is_answered_and_closed(site: Site):
    with connect(site.gateway.url) as connection:
        connection.sendall(old("/health", {}))
        reply = read(connection)
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert ends(connection)


def test_http_1_0_gets_streams_without_chunks(site: Site):
    site.provider.on("one", stream(chunks("Hel", "lo")))
    body = BODY[:-1] + b', "stream": true}'
    with connect(site.gateway.url) as connection:
        connection.sendall(old(CHAT, sized(site, body), "POST") + body)
        reply = read(connection)
    assert "transfer-encoding" not in reply.headers
    assert reply.body.startswith(b"data: {")
    assert reply.body.endswith(b"data: [DONE]\n\n")


def test_a_hang_up_behind_a_second_request_ends_the_first(site: Site):
    site.provider.on("one", hang)
    with connect(site.gateway.url) as connection:
        connection.sendall(head("POST", CHAT, sized(site, **{"Cache-Control": "no-store"})) + BODY)
        wait_until(lambda: bool(site.provider.received), "the provider to be asked")
        connection.sendall(head("GET", "/health", {}))
    assert site.provider.received[0].hung_up.wait(2)


def test_the_server_does_not_tell_its_name(site: Site):
    with connect(site.gateway.url) as connection:
        connection.sendall(head("GET", "/health", {}))
        headers = read(connection).headers
    assert "server" not in headers
    assert "date" in headers


def test_addresses_of_a_connection_are_known_unless_it_has_none_or_has_ended():
    def told(**names: Any) -> Any:
        return connections.addresses(cast(asyncio.Transport, SimpleNamespace(get_extra_info=names.get)))

    assert told(sockname=("127.0.0.1", 80), peername=("127.0.0.2", 5)) == (("127.0.0.1", 80), ("127.0.0.2", 5))
    assert told(sockname=("::1", 80, 0, 0), peername=("::1", 5, 0, 0)) == (("::1", 80), ("::1", 5))
    assert told(sockname=("127.0.0.1", 80)) == (None, None)
    assert told(sockname="/run/gateway.sock", peername="") == (None, None)

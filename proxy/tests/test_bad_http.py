"""HTTP at its edges: methods, addresses, bodies that are too large, too slow or broken, odd headers."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.tests.conftest import Site
from proxy.tests.wire import assert_refused, chunked, connect, head, read, send

CHAT = "/v1/chat/completions"
INVALID = "invalid_request_error"
BODY = json.dumps({"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}]}).encode()
JSON = {"Content-Type": "application/json"}
MB = 2**20
POSTED_TO = [CHAT, "/v1/embeddings", "/auth/token", "/nowhere"]


def sized(site: Site, body: bytes = BODY, /, **headers: Any) -> dict[str, str | bytes]:
    """The headers of a chat by alice, with the length of its body."""
    return {**JSON, **site.cast.alice.headers, "Content-Length": str(len(body)), **headers}


def test_the_usual_request_is_answered(site: Site):
    reply = send(site.gateway.url, head("POST", CHAT, sized(site)), BODY)
    assert (reply.status, json.loads(reply.body)["object"]) == (200, "chat.completion")


METHODS = {
    CHAT: "POST",
    "/chat/completions": "POST",
    "/chat/fallback_completion": "POST",
    "/v1/embeddings": "POST",
    "/v1/models": "GET, HEAD",
    "/v1/models/fake/one": "GET, HEAD",
    "/models/fake/one": "GET, HEAD",
    "/health": "GET, HEAD",
    "/health/ready": "GET, HEAD",
    "/": "GET, HEAD",
}


VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"]


@pytest.mark.parametrize(
    "path, method", [(path, verb) for path in METHODS for verb in VERBS if verb not in METHODS[path]]
)
def test_a_wrong_method_is_told_the_right_one(path: str, method: str, site: Site):
    response = site.http.request(method, path, headers=site.cast.alice.headers)
    assert_refused(response, 405, INVALID, "method_not_allowed")
    assert response.headers["allow"] == METHODS[path]


@pytest.mark.parametrize("path, status", [("/health", 200), ("/v1/models", 200), (CHAT, 405), ("/nowhere", 404)])
def test_head_has_no_body(path: str, status: int, site: Site):
    with connect(site.gateway.url) as connection:
        connection.sendall(head("HEAD", path, site.cast.alice.headers))
        assert read(connection, "HEAD").status == status
        connection.sendall(head("GET", "/health", {"Connection": "close"}))
        assert read(connection, "GET").status == 200  # a body after HEAD would stand in the way of this answer


PATHS = """
    /nowhere /v1 /v1/ /v1/chat /v1/chat/completions/ /v1//chat/completions //v1/chat/completions /V1/Chat/Completions
    /v1/chat/completions%00 /v1/chat/completions%0a /v1/chat/completions%ff /v1/chat/completions;x=1
    /v1/chat/completions%3Fx /v1/./chat/completions /v1/../v1/chat/completions /v1/%2e%2e/admin/ /v1/models/
    /auth/token/ /static/../manage.py /static/..%2f..%2fmanage.py /%3Cscript%3E
""".split()  # noqa: SIM905


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_address_is_not_found(path: str, method: str, site: Site):
    reply = send(site.gateway.url, head(method, path, sized(site)), BODY, method=method)
    assert_refused(reply, 404, INVALID, "not_found")


@pytest.mark.parametrize("target", [f"{CHAT}?x=1&y=%ff", f"http://elsewhere.example{CHAT}", "/v1/chat%2Fcompletions"])
def test_other_ways_to_write_an_address(target: str, site: Site):
    assert send(site.gateway.url, head("POST", target, sized(site)), BODY).status == 200


@pytest.mark.parametrize("path", POSTED_TO)
def test_a_body_of_50_mb_is_refused_so_that_the_client_sees_it(path: str, site: Site):
    response = site.http.post(path, content=b" " * (50 * MB), headers={**JSON, **site.cast.alice.headers})
    error = assert_refused(response, 413, INVALID, "body_too_large")
    assert "32 MB" in error["message"]


def test_a_body_of_50_mb_in_chunks_is_refused(site: Site):
    def megabytes() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * MB

    response = site.http.post(CHAT, content=megabytes(), headers={**JSON, **site.cast.alice.headers})
    assert_refused(response, 413, INVALID, "body_too_large")


def test_a_body_without_end_is_refused_before_it_fills_the_memory(site: Site, settings: Any):
    settings.GATEWAY_MAX_BODY_BYTES = 1000
    sent = {**JSON, **site.cast.alice.headers, "Transfer-Encoding": "chunked"}
    with connect(site.gateway.url) as connection:
        connection.sendall(head("POST", CHAT, sent) + b"".join(list(chunked(b" " * 4001))[:-1]))
        assert_refused(read(connection), 413, INVALID, "body_too_large")


def test_the_largest_body_is_answered(site: Site, settings: Any):
    settings.GATEWAY_MAX_BODY_BYTES = len(BODY)
    assert send(site.gateway.url, head("POST", CHAT, sized(site)), BODY).status == 200
    assert send(site.gateway.url, head("POST", CHAT, sized(site, BODY + b" ")), BODY, b" ").status == 413


def test_a_body_in_chunks_is_read(site: Site):
    sent = {**JSON, **site.cast.alice.headers, "Transfer-Encoding": "chunked", "Cache-Control": "no-store"}
    pieces = [BODY[at : at + 7] for at in range(0, len(BODY), 7)]
    assert send(site.gateway.url, head("POST", CHAT, sent), *chunked(*pieces)).status == 200
    assert site.provider.bodies("one") == [{**json.loads(BODY), "model": "one"}]


@pytest.mark.parametrize("path", POSTED_TO)
def test_a_broken_chunk_is_refused(path: str, site: Site):
    sent = {**JSON, **site.cast.alice.headers, "Transfer-Encoding": "chunked"}
    reply = send(site.gateway.url, head("POST", path, sent), b"zz\r\n{}\r\n0\r\n\r\n")
    assert_refused(reply, 400, INVALID, "body_broken_off")


@pytest.mark.parametrize("path", POSTED_TO)
def test_a_body_that_breaks_off_is_refused(path: str, site: Site):
    with connect(site.gateway.url) as connection:
        connection.sendall(head("POST", path, sized(site)) + BODY[:10])
        connection.shutdown(socket.SHUT_WR)
        assert_refused(read(connection), 400, INVALID, "body_broken_off")
    assert site.provider.received == []


@pytest.mark.parametrize("path", POSTED_TO)
def test_a_slow_body_is_given_up(path: str, site: Site, settings: Any):
    settings.GATEWAY_BODY_TIMEOUT_S = 0.1
    reply = send(site.gateway.url, head("POST", path, sized(site)), BODY[:10])
    assert_refused(reply, 408, INVALID, "request_timeout")


AMBIGUOUS: dict[str, dict[str, str]] = {
    "a negative length": {"Content-Length": "-5"},
    "a length that is no number": {"Content-Length": "5x"},
    "two lengths": {"Content-Length": "66", "content-length": "5"},
    "chunks and a length": {"Content-Length": "66", "Transfer-Encoding": "chunked"},
    "an unknown transfer coding": {"Transfer-Encoding": "gzip"},
    "a folded header": {"X-A": "b\r\n c"},
    "a blank before the colon": {"X-A ": "b"},
}


@pytest.mark.parametrize("headers", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_a_proxy_might_read_otherwise_is_refused(headers: dict[str, str], site: Site):
    reply = send(site.gateway.url, head("POST", CHAT, {**JSON, **site.cast.alice.headers, **headers}), BODY)
    assert reply.status == 400
    assert site.provider.received == []


def test_another_host_name_is_refused_in_the_contracts_form(site: Site):
    refused = site.http.post("/auth/token", json={}, headers={"Host": "elsewhere.example"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "ALLOWED_HOSTS" in refused.json()["error"]["message"]


def test_pipelined_requests_are_answered_in_order(site: Site):
    with connect(site.gateway.url) as connection:
        connection.sendall(
            (head("POST", CHAT, {**sized(site), "Cache-Control": "no-store"}) + BODY) * 2
            + head("GET", "/nowhere", {"Connection": "close"})
        )
        received = _read_all(connection)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]
    assert len(site.provider.received) == 2


def test_garbage_after_a_request_does_not_harm_it(site: Site):
    with connect(site.gateway.url) as connection:
        connection.sendall(head("POST", CHAT, sized(site)) + BODY + b"\0\xff GARBAGE\r\n\r\n")
        received = _read_all(connection)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]


ODD_HEADERS: dict[str, bytes] = {
    "x-gateway-tags": b"\xe9\xff, \x80",
    "x-gateway-timeout-s": b"1e308",
    "traceparent": b"\xff",
    "Idempotency-Key": b"\xe9" * 255,
    "Accept": b"image/png",
    "Accept-Encoding": b"br;q=\xff",
    "Cookie": b"sessionid=\xff; csrftoken=\xfe",
    "Expect": b"nonsense",
    "Upgrade": b"websocket",
    "X-Forwarded-For": b"'; DROP TABLE users; --, \xff",
    "x-long": b"x" * 100_000,
}


@pytest.mark.parametrize("name, value", ODD_HEADERS.items())
def test_odd_headers_do_no_harm(name: str, value: bytes, site: Site):
    reply = send(site.gateway.url, head("POST", CHAT, sized(site, **{name: value})), BODY)
    assert reply.status == 200


def test_the_request_id_is_ours_alone(site: Site):
    reply = send(site.gateway.url, head("POST", CHAT, sized(site, **{"x-request-id": "spoofed"})), BODY)
    assert reply.headers["x-request-id"].startswith("req_")
    reply = send(site.gateway.url, head("GET", "/nowhere", {"x-request-id": "spoofed"}), method="GET")
    assert reply.error["request_id"] == reply.headers["x-request-id"]
    assert reply.error["request_id"].startswith("req_")


@pytest.mark.parametrize("name", ["x_api_key", "x-api_key", "X_FORWARDED_FOR", "authorization_"])
def test_underscores_are_not_hyphens(name: str, site: Site):
    reply = send(site.gateway.url, head("POST", CHAT, sized(site, **{name: "gw_live_wrong"})), BODY)
    assert reply.status == 200


def _read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection, or says nothing for a moment."""
    received = b""
    connection.settimeout(1.0)
    try:
        while data := connection.recv(65536):
            received += data
    except TimeoutError:
        pass
    return received

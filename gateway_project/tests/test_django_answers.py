"""What Django's own handler answers has the headers of the API's contract, too; pages have only the request's id."""

import httpx
import pytest

from accounts.views.tokens import Token
from conftest import PASSWORD, Cast, LiveGateway

WANTS_PAGE = {"Accept": "text/html"}
GATEWAY_HEADERS = {"x-gateway-attempts", "x-gateway-cache", "x-gateway-overhead-ms"}


def assert_is_of_the_api(response: httpx.Response, status: int) -> None:
    assert response.status_code == status
    assert (response.headers["x-gateway-attempts"], response.headers["x-gateway-cache"]) == ("0", "bypass")
    assert 0 <= float(response.headers["x-gateway-overhead-ms"]) < 10_000
    assert response.headers["x-request-id"].startswith("req_")
    names = [name.lower() for name, _ in response.headers.raw]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1/nowhere", "/auth/nowhere", "/v1/chat/completions/", "/health/nowhere"]
)
def test_an_unknown_route(gateway: LiveGateway, path: str):
    assert_is_of_the_api(httpx.get(gateway.url + path), 404)


@pytest.mark.parametrize(
    "method, path",
    [("GET", "/auth/token"), ("PUT", "/auth/token"), ("DELETE", "/auth/token")]
    + [(method, "/api/docs") for method in ("OPTIONS", "POST", "PUT")],
)
def test_a_method_that_a_route_does_not_have(gateway: LiveGateway, method: str, path: str):
    assert_is_of_the_api(httpx.request(method, gateway.url + path), 405)


def test_tokens_given_and_refused(gateway: LiveGateway, cast: Cast):
    route = f"{gateway.url}/auth/token"
    assert_is_of_the_api(httpx.post(route, json={"username": "alice", "password": PASSWORD}), 200)
    assert_is_of_the_api(httpx.post(route, json={"username": "alice", "password": "wrong"}), 401)
    assert_is_of_the_api(httpx.post(route, json={}), 400)


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_a_mistake_of_ours(gateway: LiveGateway, monkeypatch: pytest.MonkeyPatch, accept: str):
    """Outside of REST framework's reach, so that Django's handler500 answers."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(Token, "initialize_request", broken)
    response = httpx.post(f"{gateway.url}/auth/token", json={}, headers={"Accept": accept})
    assert_is_of_the_api(response, 500)
    assert response.json()["error"]["request_id"] == response.headers["x-request-id"]


def test_the_document_of_the_api(gateway: LiveGateway):
    assert_is_of_the_api(httpx.get(f"{gateway.url}/api/schema"), 200)


@pytest.mark.parametrize(
    "path, status",
    [("/nowhere", 404), ("/sign-in/", 200), ("/admin/login/", 200), ("/static/comparisons/icon.svg", 200)],
)
def test_a_page_has_the_id_of_the_request_alone(gateway: LiveGateway, path: str, status: int):
    response = httpx.get(gateway.url + path, headers=WANTS_PAGE)
    assert response.status_code == status
    assert response.headers["x-request-id"].startswith("req_")
    assert not GATEWAY_HEADERS & response.headers.keys()

"""Pages of other origins: those in CORS_ALLOWED_ORIGINS may call from the browser, all others may not."""

from typing import Any

import httpx
import pytest

from proxy.tests.conftest import Site
from proxy.tests.fake_provider import chunks, stream
from proxy.tests.wire import assert_refused

APP = "https://app.example.com"
CHAT = "/v1/chat/completions"
ROUTES = {CHAT: "POST", "/v1/embeddings": "POST", "/v1/models": "GET", "/auth/token": "POST", "/auth/logout": "POST"}
BODY = {"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [APP, "http://localhost:3000"]


def preflight(site: Site, path: str, origin: str = APP, method: str = "POST") -> httpx.Response:
    """What a browser asks before it sends JSON with a key."""
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type"}
    return site.http.options(path, headers={"Origin": origin, **asked})


def cors_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("origin", [APP, "http://localhost:3000"])
@pytest.mark.parametrize("path, method", ROUTES.items())
def test_an_allowed_page_may_ask(path: str, method: str, origin: str, site: Site):
    response = preflight(site, path, origin, method)
    assert response.status_code == 200
    headers = cors_headers(response)
    assert headers["access-control-allow-origin"] == origin
    assert method in headers["access-control-allow-methods"]
    assert headers["access-control-allow-headers"] == "authorization,content-type"
    assert "access-control-allow-credentials" not in headers  # the admin's cookie is no credential for pages
    assert "Origin" in response.headers["vary"]


@pytest.mark.usefixtures("allowed")
def test_an_allowed_page_sees_the_answer_and_its_headers(site: Site):
    response = site.http.post(CHAT, json=BODY, headers={"Origin": APP, **site.cast.alice.headers})
    assert response.status_code == 200
    assert cors_headers(response) == {"access-control-allow-origin": APP, "access-control-expose-headers": "*"}
    assert "Origin" in response.headers["vary"]
    assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.usefixtures("allowed")
def test_an_allowed_page_sees_a_stream(site: Site):
    site.provider.on("one", stream(chunks("Hello")))
    body = {**BODY, "stream": True}
    response = site.http.post(CHAT, json=body, headers={"Origin": APP, **site.cast.alice.headers})
    assert response.headers["access-control-allow-origin"] == APP
    assert response.text.endswith("data: [DONE]\n\n")


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("path, status", [(CHAT, 401), ("/v1/models", 405), ("/nowhere", 404), ("/auth/token", 400)])
def test_an_allowed_page_sees_why_it_was_refused(path: str, status: int, site: Site):
    response = site.http.post(path, json=BODY, headers={"Origin": APP})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == APP
    assert response.json()["error"]["message"]


FOREIGN = [
    "https://evil.example.com",
    "http://app.example.com",
    f"{APP}.evil.com",
    f"{APP}:8443",
    "null",
    "é",
    APP.upper(),
]


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_origin_gets_no_permission(origin: str, site: Site):
    sent: Any = {"Origin": origin.encode("latin-1"), **site.cast.alice.headers}
    asked = site.http.options(CHAT, headers={**sent, "Access-Control-Request-Method": "POST"})
    assert_refused(asked, 405, "invalid_request_error", "method_not_allowed")
    answered = site.http.post(CHAT, json=BODY, headers=sent)
    assert answered.status_code == 200
    assert cors_headers(asked) == cors_headers(answered) == {}


def test_without_the_setting_nobody_gets_permission(site: Site):
    asked = preflight(site, CHAT)
    answered = site.http.post(CHAT, json=BODY, headers={"Origin": APP, **site.cast.alice.headers})
    assert (asked.status_code, answered.status_code) == (405, 200)
    assert cors_headers(asked) == cors_headers(answered) == {}


def test_a_star_allows_pages_of_any_origin(site: Site, settings: Any):
    settings.CORS_ALLOWED_ORIGINS = ["*"]
    asked = preflight(site, CHAT, "https://anything.example")
    answered = site.http.post(CHAT, json=BODY, headers={"Origin": "null", **site.cast.alice.headers})
    for response in (asked, answered):
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers


@pytest.mark.usefixtures("allowed")
def test_a_method_that_no_route_has_is_not_permitted(site: Site):
    response = preflight(site, CHAT, method="DELETE")
    assert response.status_code == 400
    assert "DELETE" not in cors_headers(response)["access-control-allow-methods"]

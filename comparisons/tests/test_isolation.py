"""Every route of comparisons for every kind of caller: the own tenant's, another tenant's, nobody's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pytest_django import DjangoDbBlocker

from accounts.models import APIKey
from accounts.tests.tables import empty_tables
from comparisons.models import Comparison, Note, Vote
from comparisons.recording.drain import drain
from conftest import Cast, Catalogue, live_gateway, make_cast
from proxy.tests.fake_provider import FakeProvider

ASK = {"models": ["demo/echo", "demo/echo"], "prompt": "Hi", "title": "acme's own"}
# Method, path and body; and what a member of the own tenant and of another one gets.
ROUTES: dict[str, tuple[str, str, Any, int, int]] = {
    "compare": ("POST", "/compare_models", ASK, 200, 200),
    "compare by the alias": ("POST", "/v1/comparisons", ASK, 200, 200),
    "list": ("GET", "/v1/comparisons", None, 200, 200),
    "export of the list": ("GET", "/v1/comparisons/export?format=csv", None, 200, 200),
    "read": ("GET", "/v1/comparisons/{id}", None, 200, 404),
    "export": ("GET", "/v1/comparisons/{id}/export?format=md", None, 200, 404),
    "vote": ("POST", "/v1/comparisons/{id}/votes", {"winner": 0}, 200, 404),
    "note": ("POST", "/v1/comparisons/{id}/notes", {"text": "Hm."}, 201, 404),
    "rerun": ("POST", "/v1/comparisons/{id}/rerun", {}, 200, 404),
}


@dataclass
class House:
    http: httpx.Client
    cast: Cast
    revoked: str
    comparison_id: str


@pytest.fixture(scope="module")
def house(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    """One gateway with a comparison of acme's."""
    with django_db_blocker.unblock(), FakeProvider() as provider:
        cast = make_cast()
        Catalogue(provider).demo("echo")
        row, revoked = APIKey.issue(cast.alice.user, "gone")
        row.revoke()
        with live_gateway() as gateway, httpx.Client(base_url=gateway.url, timeout=30) as http:
            asked = http.post("/compare_models", json=ASK, headers=cast.alice.headers).json()
            drain()
            yield House(http, cast, revoked, asked["id"])
        empty_tables()


@pytest.fixture(params=list(ROUTES.values()), ids=list(ROUTES))
def route(request: pytest.FixtureRequest) -> tuple[str, str, Any, int, int]:
    found: tuple[str, str, Any, int, int] = request.param
    return found


def ask(house: House, route: tuple[str, str, Any, int, int], headers: dict[str, str]) -> httpx.Response:
    method, path, body, *_ = route
    return house.http.request(method, path.format(id=house.comparison_id), json=body, headers=headers)


def test_the_own_tenants_members_get_through(house: House, route: tuple[str, str, Any, int, int]):
    for member in (house.cast.alice, house.cast.bob):
        assert ask(house, route, member.headers).status_code == route[3]


def test_another_tenant_sees_and_changes_nothing(house: House, route: tuple[str, str, Any, int, int]):
    acme = Comparison.objects.filter(tenant=house.cast.acme)

    def state() -> list[int]:
        return [acme.count(), Vote.objects.count(), Note.objects.count()]

    before = state()
    response = ask(house, route, house.cast.charlie.headers)
    assert response.status_code == route[4], response.text
    assert house.comparison_id not in response.text.replace(f"“{house.comparison_id}”", "")
    assert state() == before


@pytest.mark.parametrize("credential", ["none", "a revoked key", "a wrong key", "a session that is none"])
def test_nobody_gets_through(credential: str, house: House, route: tuple[str, str, Any, int, int]):
    headers = {
        "none": {},
        "a revoked key": {"x-api-key": house.revoked},
        "a wrong key": {"Authorization": "Bearer gw_live_nonsense"},
        "a session that is none": {
            "Cookie": f"sessionid=0123456789abcdef; csrftoken={'a' * 32}",
            "X-CSRFToken": "a" * 32,
        },
    }[credential]
    response = ask(house, route, headers)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key"), response.text

"""Our own pages compare with the session that somebody signed in with, and only our own pages."""

import httpx
import pytest
from django.test import Client

from comparisons.models import Comparison
from conftest import Cast, Catalogue, LiveGateway

ASK = {"models": ["demo/echo", "demo/echo"], "prompt": "Hi"}
TOKEN = "a" * 32


@pytest.fixture
def page(gateway: LiveGateway, catalogue: Catalogue, cast: Cast) -> httpx.Client:
    """A browser in which alice has signed in."""
    catalogue.demo("echo")
    signed_in = Client()
    signed_in.force_login(cast.alice.user)
    session = signed_in.cookies["sessionid"].value
    return httpx.Client(base_url=gateway.url, headers={"Cookie": f"sessionid={session}; csrftoken={TOKEN}"}, timeout=30)


def test_a_page_compares_and_is_told_apart(page: httpx.Client):
    response = page.post("/compare_models", json=ASK, headers={"X-CSRFToken": TOKEN})
    assert response.status_code == 200, response.text
    assert (response.json()["author"], response.json()["source"]) == ("alice", "playground")
    assert page.get("/v1/comparisons").json()["data"][0]["id"] == response.json()["id"]


@pytest.mark.parametrize(
    "headers", [{}, {"X-CSRFToken": "b" * 32}, {"X-CSRFToken": TOKEN, "Origin": "http://evil.example"}]
)
def test_another_page_cannot_compare_in_somebodys_name(headers: dict[str, str], page: httpx.Client):
    response = page.post("/compare_models", json=ASK, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "csrf_failed")
    assert not Comparison.objects.exists()


def test_a_key_counts_more_than_the_session(page: httpx.Client, cast: Cast):
    response = page.post("/compare_models", json=ASK, headers=cast.charlie.headers)
    assert (response.json()["author"], response.json()["source"]) == ("charlie", "api")


def test_who_is_switched_off_is_signed_out(page: httpx.Client, cast: Cast):
    cast.alice.user.is_active = False
    cast.alice.user.save()
    response = page.post("/compare_models", json=ASK, headers={"X-CSRFToken": TOKEN})
    assert response.status_code == 401

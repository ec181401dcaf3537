"""`from_request`: a call that was stored is compared again, its answer for free."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from comparisons.tests import sse
from conftest import Cast, Catalogue
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunks, stream, text

Ended = Callable[[str], dict[str, Any]]
Recorded = Callable[[int], list[Usage]]
MESSAGES = [{"role": "user", "content": "Capital of France?"}]


@pytest.fixture
def logged(http: httpx.Client, catalogue: Catalogue, provider: FakeProvider, cast: Cast, recorded: Recorded) -> str:
    """The id of a call that alice made and acme stored."""
    cast.acme.store_bodies_days = 7
    cast.acme.save()
    for name in ("one", "two"):
        catalogue.model(f"fake/{name}", output_price_per_mtok=1000)
    provider.on("one", text("Paris"))
    provider.on("two", stream(chunks("Lyon")))
    body = {"model": "fake/one", "messages": MESSAGES, "temperature": 0.5}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    recorded(1)
    request_id: str = response.headers["x-request-id"]
    return request_id


def compare(http: httpx.Client, request_id: str, **fields: Any) -> httpx.Response:
    return http.post("/compare_models", json={"models": ["fake/two"], "from_request": request_id, **fields})


def test_the_stored_answer_is_slot_a_and_costs_nothing(
    logged: str, http: httpx.Client, provider: FakeProvider, recorded: Recorded, ended: Ended
):
    provider.received.clear()
    body = compare(http, logged, params={"max_tokens": 9}).json()
    old, new = body["answers"]
    assert (old["slot"], old["label"], old["content"], old["status"]) == (0, "A", "Paris", "ok")
    assert (old["request_id"], old["resolved_model"], old["cost_usd"]) == (logged, "fake/one", "0.000000")
    assert old["response"]["choices"][0]["message"]["content"] == "Paris"
    assert (new["slot"], new["label"], new["content"]) == (1, "B", "Lyon")
    [asked] = provider.received
    assert (asked.body["model"], asked.body["messages"]) == ("two", MESSAGES)
    assert (asked.body["temperature"], asked.body["max_tokens"]) == (0.5, 9)
    assert len(recorded(2)) == 2
    stored = ended(body["id"])
    assert (stored["status"], stored["from_request"]) == ("complete", logged)
    assert [each["content"] for each in stored["answers"]] == ["Paris", "Lyon"]


def test_streamed_the_stored_answer_comes_first(logged: str, http: httpx.Client):
    body = {"models": ["fake/two"], "from_request": logged, "stream": True}
    with http.stream("POST", "/compare_models", json=body) as response:
        events = list(sse.read(response.iter_lines()))
    assert [event.name for event in events[:3]] == ["comparison.created", "answer.done", "answer.started"]
    assert (events[1].data["slot"], events[1].data["content"]) == (0, "Paris")
    assert events[-1].data["status"] == "complete"


def test_another_tenants_request_is_not_found(logged: str, http: httpx.Client, cast: Cast):
    for member in (cast.charlie, cast.alice):
        known = logged if member is cast.charlie else "req_unknown"
        body = {"models": ["fake/two"], "from_request": known}
        response = http.post("/compare_models", json=body, headers=member.headers)
        assert (response.status_code, response.json()["error"]["param"]) == (404, "from_request")


def test_what_the_tenant_no_longer_stores_is_not_found(logged: str, http: httpx.Client, cast: Cast):
    cast.acme.store_bodies_days = 0
    cast.acme.save()
    assert compare(http, logged).status_code == 404


@pytest.mark.parametrize("param", ["messages", "prompt"])
def test_it_asks_what_was_asked_then(param: str, logged: str, http: httpx.Client):
    response = compare(http, logged, **{param: MESSAGES if param == "messages" else "Hi"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_a_slot_that_cannot_be_asked_is_named_where_it_stands(logged: str, http: httpx.Client):
    error = compare(http, logged, models=["fake/two", "gone"]).json()["error"]
    assert [(problem["slot"], problem["param"]) for problem in error["slots"]] == [(2, "models[1]")]

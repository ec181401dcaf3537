"""`Idempotency-Key` on comparisons: the models are asked once, however often the request is sent."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from accounts.models import APIKey
from accounts.models.api_key import Comparing
from comparisons.models import Comparison
from comparisons.recording.drain import drain
from comparisons.tests import sse
from comparisons.tests.conftest import PROMPT
from comparisons.tests.keyed import KEY, contents, is_replay
from conftest import Cast, Catalogue, LiveGateway, Member
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunk, chunks, error, stream, text
from proxy.tests.wire import assert_refused

Recorded = Callable[[int], list[Usage]]


@pytest.fixture(autouse=True)
def _models(catalogue: Catalogue, provider: FakeProvider) -> None:
    for name, word in (("one", "Paris"), ("two", "Lyon")):
        catalogue.model(f"fake/{name}", output_price_per_mtok=100_000)
        provider.on(name, stream(chunks(word, usage=(7, 1))), stream(chunks("anew")))
    catalogue.model("fake/broken")
    provider.on("broken", error(503, "overloaded"), stream(chunks("well again")))


def ask(http: httpx.Client, path: str = "/compare_models", member: Member | None = None, **fields: Any) -> Any:
    body = {"models": ["fake/one", "fake/two"], "prompt": PROMPT, **fields}
    return http.post(path, json=body, headers={**KEY, **(member.headers if member else {})})


def chat(http: httpx.Client, models: str = "fake/one,fake/two", **fields: Any) -> httpx.Response:
    body = {"model": f"compare:{models}", "messages": [{"role": "user", "content": PROMPT}], **fields}
    return http.post("/v1/chat/completions", json=body, headers=KEY)


def test_sent_again_it_gets_the_same_comparison_and_costs_nothing(
    http: httpx.Client, provider: FakeProvider, recorded: Recorded
):
    first, again = ask(http), ask(http)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert contents(again) == ["Paris", "Lyon"]
    assert (is_replay(first), is_replay(again)) == (False, True)
    assert len(provider.received) == 2
    assert Comparison.objects.count() == 1
    assert (first.headers["x-gateway-cost-usd"], again.headers["x-gateway-cost-usd"]) == ("0.200000", "0.000000")
    assert (again.headers["x-gateway-attempts"], again.headers["x-gateway-cache"]) == ("0", "hit")
    assert again.headers["x-gateway-model"] == first.headers["x-gateway-model"] == "fake/one, fake/two"
    rows = recorded(4)
    assert [(row.status, row.total_tokens, row.endpoint) for row in rows] == [
        *[("ok", 8, "comparison")] * 2,
        *[("cached", 0, "comparison")] * 2,
    ]
    assert len({row.request_id for row in rows}) == 4


def test_without_the_header_every_comparison_is_a_new_one(http: httpx.Client):
    body = {"models": ["fake/one", "fake/two"], "prompt": PROMPT}
    assert [contents(http.post("/compare_models", json=body))[0] for _ in range(2)] == ["Paris", "anew"]


def test_the_alias_is_the_same_route_and_a_chat_is_another(http: httpx.Client):
    first = ask(http)
    assert is_replay(ask(http, "/v1/comparisons"))
    assert_refused(chat(http), 409, "invalid_request_error", "idempotency_conflict", "Idempotency-Key")
    assert ask(http, "/v1/comparisons").json() == first.json()


def test_another_body_is_a_conflict(http: httpx.Client, provider: FakeProvider):
    ask(http)
    refused = ask(http, title="Otherwise")
    assert_refused(refused, 409, "invalid_request_error", "idempotency_conflict", "Idempotency-Key")
    assert len(provider.received) == 2


def events(response: httpx.Response) -> list[sse.Named]:
    assert response.headers["content-type"].startswith("text/event-stream")
    return list(sse.read(response.text.split("\n")))


def test_a_stream_is_told_again_from_its_beginning(http: httpx.Client, provider: FakeProvider):
    thought = chunk({"reasoning_content": "Hm."})
    provider.on("one", stream([thought, *chunks("Par", "is")]), error(500))
    models = ["fake/one", "fake/broken"]
    first, again = (ask(http, models=models, stream=True) for _ in range(2))
    assert is_replay(again)
    told = events(again)
    assert [event.number for event in told] == list(range(1, len(told) + 1))
    assert [event.name for event in told] == [
        "comparison.created",
        "answer.started",
        "answer.delta",
        "answer.done",
        "answer.started",
        "answer.error",
        "comparison.done",
    ]
    created = told[0].data
    assert created["status"] == "running"
    assert [answer["content"] for answer in created["answers"]] == ["", ""]
    assert told[2].data == {"slot": 0, "delta": "Paris", "reasoning": "Hm."}

    def ends(response: httpx.Response) -> list[dict[str, Any]]:
        found = [event.data for event in events(response) if event.name in {"answer.done", "answer.error"}]
        return sorted(found, key=lambda data: data["slot"])

    assert ends(again) == ends(first)
    assert told[-1].data == events(first)[-1].data
    assert len(provider.received) == 2


def test_what_broke_off_is_told_again_as_far_as_it_came(http: httpx.Client, provider: FakeProvider):
    provider.on("one", stream(chunks("Par", "is")[:3], pause_s=0.05, cut=True), text("anew"))
    first, again = (ask(http, stream=True) for _ in range(2))
    assert is_replay(again)
    for response in (first, again):
        told = [event.data["delta"] for event in events(response) if event.name == "answer.delta"]
        assert sorted("".join(told)) == sorted("ParisLyon")


def test_a_chat_that_compares_is_answered_again(http: httpx.Client, provider: FakeProvider):
    first, again = chat(http), chat(http)
    assert is_replay(again)
    assert again.json() == first.json()
    assert [choice["message"]["content"] for choice in again.json()["choices"]] == ["Paris", "Lyon"]
    assert len(provider.received) == 2


def test_the_sdk_reads_the_stream_of_a_chat_told_again(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    begun = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    provider.on("two", stream([chunk({"tool_calls": [begun]}), chunk({}, "tool_calls")]), error(500))
    client = gateway.sdk(cast.alice, default_headers=KEY)
    for _ in range(2):
        said, total = {0: "", 1: ""}, 0
        ends: dict[int, Any] = {}
        calls: list[Any] = []
        for event in client.chat.completions.create(
            model="compare:fake/one,fake/two",
            messages=[{"role": "user", "content": PROMPT}],
            stream=True,
            stream_options={"include_usage": True},
        ):
            total = event.usage.total_tokens if event.usage else total
            for choice in event.choices:
                said[choice.index] += choice.delta.content or ""
                ends[choice.index] = choice.finish_reason or ends.get(choice.index)
                calls += choice.delta.tool_calls or []
        assert (said, ends) == ({0: "Paris", 1: ""}, {0: "stop", 1: "tool_calls"})
        assert [(call.index, call.function and call.function.name) for call in calls] == [(0, "weather")]
        assert total > 8
    assert len(provider.received) == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_a_chat_that_no_model_answered_is_told_again(streamed: bool, http: httpx.Client, provider: FakeProvider):
    provider.on("broken", error(503, "overloaded"))
    first, again = (chat(http, "fake/broken,fake/broken", stream=streamed) for _ in range(2))
    asked = len(provider.received)
    assert (first.status_code, again.status_code) == (502, 502)
    assert is_replay(again)
    assert again.json()["choices"] == first.json()["choices"]
    assert len(provider.received) == asked == len(first.json()["error"]["attempts"])


def test_what_no_model_answered_is_not_asked_again(http: httpx.Client, provider: FakeProvider):
    provider.on("broken", error(503, "overloaded"))
    first, again = (ask(http, models=["fake/broken"] * 2) for _ in range(2))
    assert (first.status_code, again.status_code) == (502, 502)
    assert is_replay(again)
    assert {**again.json()["error"], "request_id": ""} == {**first.json()["error"], "request_id": ""}
    assert len(again.json()["error"]["attempts"]) > 0
    assert again.json()["answers"] == first.json()["answers"]
    assert again.headers["x-should-retry"] == "false"  # it stays so
    assert "x-should-retry" not in first.headers
    assert len(provider.received) == len(first.json()["error"]["attempts"])


def test_nothing_stored_is_kept_for_its_key_alone(http: httpx.Client, provider: FakeProvider):
    for streamed in (False, True):
        key = {"Idempotency-Key": f"streamed {streamed}"}
        provider.on("one", stream(chunks("Paris")), stream(chunks("anew")))
        body = {"models": ["fake/one", "fake/two"], "prompt": PROMPT, "store": False, "stream": streamed}
        first, again = (http.post("/compare_models", json=body, headers=key) for _ in range(2))
        assert is_replay(again)
        if streamed:
            assert events(again)[-1].data == events(first)[-1].data
        else:
            assert again.json() == first.json()
    assert len(provider.received) == 4
    drain()
    assert not Comparison.objects.exists()


def test_asking_again_is_done_once(http: httpx.Client, provider: FakeProvider):
    body = {"models": ["fake/one", "fake/two"], "prompt": PROMPT}
    original = http.post("/compare_models", json=body).json()["id"]
    path = f"/v1/comparisons/{original}/rerun"
    first, again = (http.post(path, json={"models": ["fake/one"]}, headers=KEY) for _ in range(2))
    assert is_replay(again)
    assert again.json() == first.json()
    assert again.json()["successor_of"] == original
    assert len(provider.received) == 3
    assert_refused(
        http.post(path, json={}, headers=KEY), 409, "invalid_request_error", "idempotency_conflict", "Idempotency-Key"
    )


def test_a_stored_call_is_compared_once(http: httpx.Client, cast: Cast, provider: FakeProvider, recorded: Recorded):
    cast.acme.store_bodies_days = 7
    cast.acme.save()
    provider.on("one", text("Paris"))
    asked = {"model": "fake/one", "messages": [{"role": "user", "content": PROMPT}]}
    request_id = http.post("/v1/chat/completions", json=asked).headers["x-request-id"]
    recorded(1)
    for streamed in (False, True):
        body = {"models": ["fake/two"], "from_request": request_id, "stream": streamed}
        key = {"Idempotency-Key": f"streamed {streamed}"}
        provider.on("two", stream(chunks("Lyon")), stream(chunks("anew")))
        first, again = (http.post("/compare_models", json=body, headers=key) for _ in range(2))
        assert is_replay(again)
        if streamed:
            names = [event.name for event in events(again)]
            assert names == [event.name for event in events(first)]
        else:
            assert contents(again) == contents(first) == ["Paris", "Lyon"]


# Who may, and how often -----------------------------------------------------------------------------------------------


def test_a_replay_counts_as_the_requests_that_it_stands_for(http: httpx.Client, cast: Cast):
    cast.alice.user.requests_per_minute = 5
    cast.alice.user.save()
    assert [ask(http).status_code for _ in range(3)] == [200, 200, 429]


def test_it_is_given_again_even_where_the_budget_is_spent(http: httpx.Client, cast: Cast):
    first = ask(http, params={"max_tokens": 100})
    cast.acme.monthly_token_budget = 1
    cast.acme.save()
    assert ask(http, params={"max_tokens": 100}).json() == first.json()
    body = {"models": ["fake/one", "fake/two"], "prompt": PROMPT, "params": {"max_tokens": 100}}
    assert http.post("/compare_models", json=body, headers={"Idempotency-Key": "order 2"}).status_code == 429


def test_what_is_refused_before_it_began_can_be_tried_anew(http: httpx.Client, cast: Cast, provider: FakeProvider):
    cast.acme.monthly_token_budget = 1
    cast.acme.save()
    assert ask(http, params={"max_tokens": 100}).status_code == 429
    cast.acme.monthly_token_budget = None
    cast.acme.save()
    tried = ask(http, params={"max_tokens": 100})
    assert (tried.status_code, is_replay(tried)) == (200, False)
    assert ask(http, models=["fake/one", "gone"]).status_code == 404


def test_a_key_that_may_not_ask_any_more_gets_no_answer(http: httpx.Client, cast: Cast):
    ask(http)
    cast.alice.key_row.allowed_models = ["fake/one"]
    cast.alice.key_row.save()
    refused = ask(http)
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "models[1]")
    cast.alice.key_row.comparing = Comparing.NEVER
    cast.alice.key_row.save()
    assert_refused(ask(http), 403, "permission_error", "comparing_not_allowed", None)


def test_the_same_key_of_somebody_else_is_another_comparison(http: httpx.Client, cast: Cast, provider: FakeProvider):
    names = ["alice", "bob", "charlie", "other key", "only compares"]
    provider.on("one", *(stream(chunks(name)) for name in names))
    others = [APIKey.issue(cast.alice.user, "other"), APIKey.issue(cast.alice.user, "x", comparing=Comparing.ONLY)]
    members = [cast.alice, cast.bob, cast.charlie, *(Member(cast.alice.user, key, row) for row, key in others)]
    for _ in range(2):
        assert [contents(ask(http, member=member))[0] for member in members] == names


def test_callers_without_a_credential_are_told_nothing_of_keys(gateway: LiveGateway, catalogue: Catalogue):
    catalogue.chain("open", catalogue.demo("echo"), public=True)
    body = {"models": ["open", "open"], "prompt": "Hi"}
    refused = httpx.post(f"{gateway.url}/compare_models", json=body, headers=KEY)
    assert_refused(refused, 401, "authentication_error", "invalid_api_key", None)


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(key: str, http: httpx.Client, provider: FakeProvider):
    body = {"models": ["fake/one", "fake/two"], "prompt": PROMPT}
    refused = http.post("/compare_models", json=body, headers={"Idempotency-Key": key})
    assert_refused(refused, 400, "invalid_request_error", "invalid_idempotency_key", "Idempotency-Key")
    assert not provider.received


def test_a_comparison_that_was_deleted_is_not_run_again(http: httpx.Client, provider: FakeProvider):
    ask(http)
    drain()
    Comparison.objects.all().delete()
    refused = ask(http)
    assert_refused(refused, 404, "invalid_request_error", "not_found", "Idempotency-Key")
    assert "new key" in refused.json()["error"]["message"]
    assert len(provider.received) == 2

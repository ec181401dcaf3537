"""`POST /compare_models`, answered whole."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.models import APIKey
from accounts.models.api_key import Comparing
from accounts.redis import sync_client
from comparisons.models import Comparison
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.models import Usage
from proxy.relay import Relay
from proxy.tests.fake_provider import (
    Behaviour,
    FakeProvider,
    answer,
    chunk,
    chunks,
    error,
    hang,
    reset,
    stream,
    then_hang,
)

Compare = Callable[..., httpx.Response]


def test_every_slot_answers_in_the_order_asked(compare: Compare, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/one")
    catalogue.model("fake/two")
    provider.on("one", stream(chunks("Par", "is", usage=(7, 2))))
    provider.on("two", stream(chunks("Lyon?", usage=(7, 1))))
    response = compare("fake/one", {"model": "fake/two", "label": "b t=0", "params": {"temperature": 0}})
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["object"], body["status"]) == ("comparison", "complete")
    assert body["id"].startswith("cmp_")
    assert body["url"].endswith(f"/comparisons/{body['id']}")
    first, second = body["answers"]
    assert (first["slot"], first["label"], first["requested_model"]) == (0, "A", "fake/one")
    assert (first["resolved_model"], first["provider"], first["status"]) == ("fake/one", "fake", "ok")
    assert (first["content"], first["error"]) == ("Paris", None)
    assert first["response"]["object"] == "chat.completion"
    assert first["response"]["choices"][0]["message"] == {"role": "assistant", "content": "Paris"}
    assert first["response"]["choices"][0]["finish_reason"] == "stop"
    assert first["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert (second["label"], second["content"]) == ("b t=0", "Lyon?")
    assert provider.bodies("two")[0]["temperature"] == 0
    assert "temperature" not in provider.bodies("one")[0]
    assert (body["summary"]["ok"], body["summary"]["failed"]) == (2, 0)


# What goes wrong with one slot ----------------------------------------------------------------------------------------

GARBAGE: dict[str, tuple[Behaviour, int, str]] = {
    "errors": (error(503, "overloaded"), 502, "overloaded"),
    "is rate limited": (error(429, "rate_limit_exceeded"), 429, "rate_limit_exceeded"),
    "refuses the request": (error(400, "invalid_value"), 400, "invalid_value"),
    "resets the connection": (reset, 502, "connection_broken"),
    "streams what is not JSON": (stream([b"data: {nonsense\n\n"]), 502, "malformed_answer"),
    "streams choices that are none": (stream([{"choices": ["x"]}]), 502, "malformed_answer"),
    "answers with something else": (answer({"hello": "world"}), 502, "malformed_answer"),
    "says nothing": (stream(chunks()), 502, "empty_answer"),
    "breaks off": (stream(chunks("Par", "is")[:2], pause_s=0.05, cut=True), 502, "connection_broken"),
    "ends too early": (stream(chunks("Par", "is")[:2], pause_s=0.05), 502, "stream_cut"),
    "hangs": (hang, 504, "timeout"),
    "hangs in mid-answer": (then_hang(chunks("Par", "is")[:2]), 504, "timeout"),
}


@pytest.mark.parametrize(("behaviour", "status", "code"), GARBAGE.values(), ids=GARBAGE.keys())
def test_what_goes_wrong_with_one_slot_stays_there(
    behaviour: Behaviour, status: int, code: str, compare: Compare, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/good")
    catalogue.model("fake/bad")
    provider.on("good", stream(chunks("Paris")))
    provider.on("bad", behaviour)
    response = compare("fake/bad", "fake/good", timeout_s=1)
    assert response.status_code == 200
    body = response.json()
    bad, good = body["answers"]
    assert (body["status"], body["summary"]["ok"], body["summary"]["failed"]) == ("partial", 1, 1)
    assert (bad["status"], bad["response"]) == ("error", None)
    assert (bad["error"]["status"], bad["error"]["code"]) == (status, code)
    assert bad["error"]["message"]
    assert (good["status"], good["content"]) == ("ok", "Paris")


def test_a_slot_whose_time_is_over_before_anybody_was_asked_touches_no_other(
    compare: Compare, catalogue: Catalogue, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
):
    async def never(*_: object) -> bool:
        await asyncio.sleep(60)
        return True

    monkeypatch.setattr(Relay, "_may_try", never)  # of all links but the last, whose breaker it would ask Redis for
    good = catalogue.model("fake/good")
    catalogue.chain("careful", good, catalogue.model("fake/other"))
    provider.on("good", stream(chunks("Paris")))
    careful, alone = compare("careful", "fake/good", fallbacks=True, timeout_s=0.5).json()["answers"]
    assert (careful["status"], careful["error"]["code"]) == ("error", "timeout")
    assert (alone["status"], alone["content"]) == ("ok", "Paris")


def test_what_a_model_said_before_it_broke_off_is_kept_and_paid_for(
    compare: Compare, catalogue: Catalogue, provider: FakeProvider, recorded: Callable[[int], list[Usage]]
):
    catalogue.model("fake/good")
    catalogue.model("fake/bad", output_price_per_mtok=500_000)
    provider.on("good", stream(chunks("Paris")))
    provider.on("bad", stream(chunks("Par", "is")[:3], pause_s=0.05, cut=True))
    bad, _ = compare("fake/bad", "fake/good").json()["answers"]
    assert bad["content"] == "Paris"
    assert bad["usage"]["completion_tokens"] > 0
    rows = {row.requested_model: row for row in recorded(2)}
    assert (rows["fake/bad"].status, rows["fake/good"].status) == ("cut", "ok")
    assert rows["fake/bad"].completion_tokens == bad["usage"]["completion_tokens"]
    assert rows["fake/bad"].cost_microusd == Decimal(bad["cost_usd"]) * 1_000_000 > 0


def test_502_with_the_same_body_where_no_model_answers(compare: Compare, catalogue: Catalogue):
    catalogue.demo("down")
    response = compare("demo/down", "demo/down")
    assert response.status_code == 502
    body = response.json()
    assert (body["object"], body["status"], body["summary"]["ok"]) == ("comparison", "failed", 0)
    assert [each["error"]["code"] for each in body["answers"]] == ["connect_failed", "connect_failed"]
    assert body["error"]["type"] == "upstream_error"


def test_the_whole_takes_as_long_as_the_slowest_slot(compare: Compare, catalogue: Catalogue):
    catalogue.demo("slow")
    response = compare(*["demo/slow"] * 5)
    assert response.status_code == 200
    assert 1000 <= response.json()["summary"]["wall_ms"] < 4 * 1000  # one after the other it would be five seconds


def test_odd_chunks_are_taken_for_what_they_are(compare: Compare, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/odd")
    odd = [
        chunk(
            choices=[{"index": "first", "delta": {"content": "Par", "x": [1, {"index": 0}]}, "finish_reason": "stop"}]
        ),
        chunk(choices=[{"index": 0, "delta": {"content": "is", "x": [{"index": 0, "y": 1}, "z"]}}], usage="none"),
        chunk({"content": ["a list"]}, "stop", novelty={"a": None}),
    ]
    provider.on("odd", stream(odd))
    first, _ = compare("fake/odd", "fake/odd").json()["answers"]
    assert first["status"] == "ok", first["error"]
    assert first["response"]["novelty"] == {"a": None}
    assert first["usage"]["completion_tokens"] > 0


# What it means to compare ---------------------------------------------------------------------------------------------


def test_each_slot_has_a_usage_row_of_its_own(
    compare: Compare, catalogue: Catalogue, recorded: Callable[[int], list[Usage]], cast: Cast
):
    catalogue.demo("echo")
    body = compare("demo/echo", "demo/echo").json()
    rows = recorded(2)
    assert {row.request_id for row in rows} == {each["request_id"] for each in body["answers"]}
    assert {(row.endpoint, row.username, row.status) for row in rows} == {("comparison", "alice", "ok")}


def test_a_chain_answers_with_its_first_model_alone(compare: Compare, catalogue: Catalogue):
    catalogue.chain("demo", catalogue.demo("down"), catalogue.demo("echo"))
    chain, echo = compare("demo", "demo/echo").json()["answers"]
    assert (chain["status"], echo["status"]) == ("error", "ok")
    assert [attempt["model"] for attempt in chain["error"]["attempts"]] == ["demo/down"]
    assert "“fallbacks”: true asks the others, too" in chain["error"]["message"]


def test_with_fallbacks_another_model_may_answer(compare: Compare, catalogue: Catalogue):
    catalogue.chain("demo", catalogue.demo("down"), catalogue.demo("echo"))
    chain, _ = compare("demo", "demo/echo", fallbacks=True).json()["answers"]
    assert (chain["status"], chain["requested_model"], chain["resolved_model"]) == ("ok", "demo", "demo/echo")


def test_nothing_comes_from_the_cache_unless_asked(compare: Compare, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Paris")))
    first = compare("fake/one", "fake/one", cache=True)
    assert first.headers["x-gateway-cache"] == "miss"
    compare("fake/one", "fake/one")
    assert len(provider.received) == 4

    def is_cached() -> bool:
        response = compare("fake/one", "fake/one", cache=True)
        assert [each["content"] for each in response.json()["answers"]] == ["Paris", "Paris"]
        return response.headers["x-gateway-cache"] == "hit"

    wait_until(is_cached, "an answer from the cache")


def test_the_headers_of_plain_calls_hold_for_every_slot(
    http: httpx.Client, catalogue: Catalogue, provider: FakeProvider, recorded: Callable[[int], list[Usage]]
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Paris")))
    headers = {"x-gateway-tags": "nightly", "Cache-Control": "no-store"}
    body = {"models": ["fake/one", "fake/one"], "prompt": "Hi", "cache": True}
    for _ in range(2):
        assert http.post("/compare_models", json=body, headers=headers).headers["x-gateway-cache"] == "bypass"
    assert [row.tags for row in recorded(4)] == [["nightly"]] * 4
    provider.on("one", hang)
    late = http.post("/compare_models", json=body, headers={"x-gateway-timeout-s": "0.2"})
    assert {each["error"]["code"] for each in late.json()["answers"]} == {"timeout"}


def test_the_headers_tell_who_answered(compare: Compare, catalogue: Catalogue, provider: FakeProvider):
    for name in ("one", "two", "three"):
        catalogue.model(f"fake/{name}")
        provider.on(name, error(503) if name == "two" else stream(chunks("Paris")))
    response = compare("fake/one", "fake/two", "fake/three")
    assert response.headers["x-gateway-model"] == "fake/one, fake/three"
    assert response.headers["x-gateway-provider"] == "fake, fake"
    assert "x-gateway-model" not in compare("fake/two", "fake/two").headers


def test_the_fastest_and_the_cheapest_are_named(compare: Compare, catalogue: Catalogue, provider: FakeProvider):
    for name, price in (("one", 1), ("two", 2), ("three", 1)):
        catalogue.model(f"fake/{name}", input_price_per_mtok=0, output_price_per_mtok=price * 100_000)
        provider.on(name, stream(chunks("Paris", usage=(7, 2))))
    body = compare("fake/one", "fake/two", "fake/three").json()
    assert body["summary"]["cheapest"] == [0, 2]
    assert body["summary"]["cost_usd"] == "0.800000"
    assert body["answers"][1]["cost_usd"] == "0.400000"
    fastest = min(body["answers"], key=lambda each: each["metrics"]["latency_ms"])
    assert fastest["slot"] in body["summary"]["fastest"]


def test_tool_calls_come_together(compare: Compare, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/one")
    begun = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    parts = [{"index": 0, "function": {"arguments": part}} for part in ('{"city"', ': "Paris"}')]
    calls = [chunk({"tool_calls": [begun]}), *(chunk({"tool_calls": [part]}) for part in parts)]
    provider.on("one", stream([*calls, chunk({}, "tool_calls")]))
    first, _ = compare("fake/one", "fake/one").json()["answers"]
    [choice] = first["response"]["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [
        {**begun, "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    ]


# Refused before anything is spent -------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "one slot": ({"models": ["demo/echo"]}, "models"),
    "eleven slots": ({"models": ["demo/echo"] * 11}, "models"),
    "no list": ({"models": "demo/echo"}, "models"),
    "neither messages nor prompt": ({"prompt": None}, "messages"),
    "both messages and prompt": ({"messages": [{"role": "user", "content": "Hi"}]}, "messages"),
    "an empty prompt": ({"prompt": " "}, "prompt"),
    "a wrong parameter": ({"params": {"temperature": "hot"}}, "params.temperature"),
    "a forbidden parameter": ({"params": {"api_base": "http://elsewhere"}}, "params.api_base"),
    "a parameter that is none": ({"params": {"stream": True}}, "params.stream"),
    "a parameter beside params": ({"temperature": 0}, "temperature"),
    "a slot's wrong parameter": (
        {"models": ["demo/echo", {"model": "demo/echo", "params": {"max_tokens": 0}}]},
        "models[1].params.max_tokens",
    ),
    "a slot without a model": ({"models": [{"label": "x"}, "demo/echo"]}, "models[0]"),
    "a slot with more than that": ({"models": [{"model": "demo/echo", "url": "x"}, "demo/echo"]}, "models[0]"),
    "no time": ({"timeout_s": 0}, "timeout_s"),
    "another end": ({"on_disconnect": "panic"}, "on_disconnect"),
    "tags that are none": ({"tags": [1]}, "tags"),
    "a switch that is none": ({"store": "no"}, "store"),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_request_is_refused_by_name(
    fields: dict[str, Any], param: str, http: httpx.Client, catalogue: Catalogue
):
    catalogue.demo("echo")
    body = {"models": ["demo/echo", "demo/echo"], "prompt": "Hi", **fields}
    response = http.post("/compare_models", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param), response.text
    assert not Comparison.objects.exists()


def test_too_many_models_are_counted(compare: Compare, catalogue: Catalogue):
    catalogue.demo("echo")
    error = compare(*["demo/echo"] * 11).json()["error"]
    assert error["message"] == "models must be a list of 2 to 10 models or chains; these are 11."


def test_every_offending_slot_is_named_and_nothing_is_asked(
    compare: Compare, catalogue: Catalogue, provider: FakeProvider, cast: Cast
):
    catalogue.model("fake/one")
    catalogue.model("fake/two")
    hidden = catalogue.model("fake/hidden")
    hidden.tenants.add(cast.globex)
    cast.alice.key_row.allowed_models = ["fake/one", "gone", "fake/hidden"]
    cast.alice.key_row.save()
    slots = ["fake/one", "gone", "fake/two", "fake/hidden", {"model": "fake/one", "params": {"n": 0}}]
    response = compare(*slots)
    error = response.json()["error"]
    assert response.status_code == 400
    told = [(problem["slot"], problem["status"], problem["code"]) for problem in error["slots"]]
    assert told == [
        (1, 404, "model_not_found"),
        (2, 403, "model_not_allowed"),
        (3, 404, "model_not_found"),
        (4, 400, "invalid_request"),
    ]
    assert error["slots"][3]["param"] == "models[4].params.n"
    assert not provider.received
    assert not Comparison.objects.exists()


@pytest.mark.parametrize(("slots", "status"), [(["gone", "lost"], 404), (["gone", "demo/echo"], 404)])
def test_slots_that_fail_alike_give_their_own_status(slots: list[str], status: int, compare: Compare, catalogue):
    catalogue.demo("echo")
    response = compare(*slots)
    assert (response.status_code, response.json()["error"]["code"]) == (status, "model_not_found")


def test_a_budget_that_cannot_hold_all_slots_holds_none(
    compare: Compare, catalogue: Catalogue, provider: FakeProvider, cast: Cast
):
    catalogue.model("fake/one", max_output_tokens=400)
    provider.on("one", stream(chunks("Paris")))
    cast.alice.user.monthly_token_budget = 1000
    cast.alice.user.save()
    refused = compare("fake/one", "fake/one", "fake/one", params={"max_tokens": 400})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert not provider.received
    assert compare("fake/one", "fake/one", params={"max_tokens": 400}).status_code == 200


def test_what_is_left_and_the_gateways_own_time_are_those_of_all_slots(
    compare: Compare, catalogue: Catalogue, provider: FakeProvider, cast: Cast
):
    for name in ("one", "two"):
        catalogue.model(f"fake/{name}")
        provider.on(name, stream(chunks("Par", "is", usage=(7, 2)), pause_s=0.5))
    cast.alice.user.monthly_token_budget = 5000
    cast.alice.user.save()
    headers = compare("fake/one", "fake/two", params={"max_tokens": 400}).headers
    assert headers["x-gateway-budget-remaining-tokens"] == str(5000 - 2 * 9)
    assert float(headers["x-gateway-overhead-ms"]) < 500, "the pauses are the models' own"


def test_what_the_cache_has_is_told_even_where_the_budget_is_spent(
    compare: Compare, catalogue: Catalogue, provider: FakeProvider, cast: Cast
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Paris")))
    compare("fake/one", "fake/one", cache=True)
    wait_until(lambda: bool(list(sync_client().scan_iter("*:cache:*"))), "an answer in the cache")
    cast.acme.monthly_token_budget = 1
    cast.acme.save()
    assert compare("fake/one", "fake/one", cache=True).headers["x-gateway-cache"] == "hit"
    assert compare("fake/one", "fake/one").status_code == 429


def test_a_comparison_counts_one_request_for_each_slot(compare: Compare, catalogue: Catalogue, cast: Cast):
    catalogue.demo("echo")
    cast.alice.user.requests_per_minute = 5
    cast.alice.user.save()
    first = compare("demo/echo", "demo/echo", "demo/echo")
    assert (first.status_code, first.headers["x-ratelimit-remaining-requests"]) == (200, "2")
    refused = compare("demo/echo", "demo/echo", "demo/echo")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert compare("demo/echo", "demo/echo").status_code == 200


def test_anonymous_callers_may_not_compare(gateway: LiveGateway, catalogue: Catalogue):
    catalogue.chain("demo", catalogue.demo("echo"), public=True)
    response = httpx.post(f"{gateway.url}/compare_models", json={"models": ["demo", "demo"], "prompt": "Hi"})
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("comparing", Comparing.values)
def test_a_key_may_be_for_comparing_only_or_for_all_else(
    comparing: str, gateway: LiveGateway, catalogue: Catalogue, cast: Cast
):
    catalogue.demo("echo")
    _, key = APIKey.issue(cast.alice.user, "limited", comparing=comparing)
    with httpx.Client(base_url=gateway.url, headers={"x-api-key": key}) as http:
        compared = http.post("/compare_models", json={"models": ["demo/echo"] * 2, "prompt": "Hi"})
        plain = http.post(
            "/v1/chat/completions", json={"model": "demo/echo", "messages": [{"role": "user", "content": "Hi"}]}
        )
        embedded = http.post("/v1/embeddings", json={"model": "demo/echo", "input": "Hi"})
        read = http.get("/v1/comparisons")
    may_compare, may_call = comparing != "never", comparing != "only"
    assert {compared.status_code, read.status_code} == {200 if may_compare else 403}
    assert {plain.status_code, embedded.status_code} == {200 if may_call else 403}

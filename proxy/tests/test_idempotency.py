"""`Idempotency-Key`: a request is carried out once, however often it is sent."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from accounts.models import APIKey
from accounts.redis import sync_client
from accounts.tests.ledgers import take_redis_away
from conftest import Cast, Catalogue, LiveGateway, Member, wait_until
from proxy.idempotency import claim, recording
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, Gate, answer, chunks, error, stream, text, then_hang
from proxy.tests.processes import WebProcess, same_services
from proxy.tests.wire import assert_refused, connect, head

KEY = {"Idempotency-Key": "order 1"}
CHAT = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def _models(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.model("fake/one")
    catalogue.model("fake/two")
    provider.on("one", text("First"), text("Second"))
    provider.on("two", text("Other"))


def ask(
    gateway: LiveGateway | WebProcess,
    member: Member,
    headers: dict[str, str] | None = None,
    path: str = CHAT,
    **fields: object,
) -> httpx.Response:
    body = {"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}], **fields}
    headers = {"Cache-Control": "no-store", **member.headers, **(KEY if headers is None else headers)}
    return httpx.post(f"{gateway.url}{path}", json=body, headers=headers, timeout=20)


def content(response: httpx.Response) -> str:
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def test_sent_again_it_gets_the_same_answer_and_costs_nothing(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    first, again = ask(gateway, cast.alice), ask(gateway, cast.alice)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert len(provider.received) == 1
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-gateway-model"] == "fake/one"
    assert again.headers["x-gateway-attempts"] == "0"
    assert again.headers["x-gateway-cost-usd"] == "0.000000"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    rows = recorded(2)
    assert [(row.status, row.total_tokens) for row in rows] == [("ok", 10), ("cached", 0)]
    assert rows[1].request_id == again.headers["x-request-id"]


def test_without_the_header_every_request_is_a_new_one(gateway: LiveGateway, cast: Cast):
    assert [content(ask(gateway, cast.alice, {})) for _ in range(2)] == ["First", "Second"]


def test_a_stream_is_streamed_again(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    provider.on("one", stream(chunks("Hel", "lo")), error(500))
    first, again = (ask(gateway, cast.alice, stream=True) for _ in range(2))
    assert again.headers["content-type"] == first.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert again.text == first.text
    assert again.text.endswith("data: [DONE]\n\n")
    assert again.headers["idempotent-replayed"] == "true"


def test_the_sdk_reads_a_replayed_stream(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    provider.on("one", stream(chunks("Hel", "lo")), error(500))
    client = gateway.sdk(cast.alice, default_headers=KEY)
    for _ in range(2):
        events = client.chat.completions.create(
            model="fake/one", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        assert "".join(event.choices[0].delta.content or "" for event in events) == "Hello"


def test_embeddings_are_given_again(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    vectors = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    provider.on("one", answer({"object": "list", "model": "m", "data": vectors}), error(500))
    first, again = (
        httpx.post(
            f"{gateway.url}/v1/embeddings",
            json={"model": "fake/one", "input": "Hi"},
            headers={**cast.alice.headers, **KEY},
        )
        for _ in range(2)
    )
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"


def test_another_body_is_a_conflict_that_no_client_repeats(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice)
    refused = ask(gateway, cast.alice, temperature=0)
    assert_refused(refused, 409, "invalid_request_error", "idempotency_conflict", "Idempotency-Key")
    assert refused.headers["x-should-retry"] == "false"


def test_another_route_is_a_conflict_and_an_alias_is_not(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice, models=["fake/one"])
    refused = ask(gateway, cast.alice, path="/chat/fallback_completion", models=["fake/one"])
    assert refused.status_code == 409
    assert ask(gateway, cast.alice, path="/chat/completions", models=["fake/one"]).headers["idempotent-replayed"]


def test_the_order_of_fields_does_not_matter(gateway: LiveGateway, cast: Cast):
    bodies = (
        '{"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}]}',
        '{"messages": [{"content": "Hi", "role": "user"}], "model": "fake/one"}',
    )
    headers = {**cast.alice.headers, **KEY, "Content-Type": "application/json"}
    first, again = (httpx.post(f"{gateway.url}{CHAT}", content=body, headers=headers) for body in bodies)
    assert again.content == first.content


def test_the_same_key_of_somebody_else_is_another_request(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    provider.on("one", *(text(name) for name in ("alice", "bob", "charlie", "alice's other key")))
    row, key = APIKey.issue(cast.alice.user, "other")
    members = [cast.alice, cast.bob, cast.charlie, Member(cast.alice.user, key, row)]
    expected = ["alice", "bob", "charlie", "alice's other key"]
    assert [content(ask(gateway, member)) for member in members] == expected
    assert [content(ask(gateway, member)) for member in members] == expected


def test_a_key_that_may_not_ask_any_more_gets_no_answer(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice)
    cast.alice.key_row.allowed_models = ["fake/two"]
    cast.alice.key_row.save()
    assert_refused(ask(gateway, cast.alice), 403, "permission_error", "model_not_allowed", "model")


def test_a_replay_counts_as_a_request(gateway: LiveGateway, cast: Cast):
    cast.alice.user.requests_per_minute = 2
    cast.alice.user.save()
    assert [ask(gateway, cast.alice).status_code for _ in range(3)] == [200, 200, 429]


def test_an_answer_is_given_again_even_where_the_budget_is_spent(gateway: LiveGateway, cast: Cast):
    first = ask(gateway, cast.alice, max_tokens=100)
    cast.acme.monthly_token_budget = 1
    cast.acme.save()
    assert ask(gateway, cast.alice, max_tokens=100).content == first.content
    assert ask(gateway, cast.alice, {"Idempotency-Key": "order 2"}, max_tokens=100).status_code == 429


@pytest.mark.parametrize("failure", [error(503), error(400, "invalid_value"), error(429)])
def test_a_failure_is_not_kept(failure: Any, gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    provider.on("one", failure, failure, text("Now"))
    assert ask(gateway, cast.alice).status_code >= 400
    while (again := ask(gateway, cast.alice)).status_code >= 400:
        assert len(provider.received) <= 3
    assert content(again) == "Now"


def test_a_stream_that_broke_off_is_not_kept(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    provider.on("one", stream(chunks("Hel", "lo")[:2], cut=True), stream(chunks("Hel", "lo")))
    assert not ask(gateway, cast.alice, stream=True).text.endswith("data: [DONE]\n\n")
    again = ask(gateway, cast.alice, stream=True)
    assert again.text.endswith("data: [DONE]\n\n")
    assert "idempotent-replayed" not in again.headers


def test_an_answer_that_is_too_large_is_not_kept(
    gateway: LiveGateway, cast: Cast, monkeypatch: pytest.MonkeyPatch, provider: FakeProvider
):
    monkeypatch.setattr(recording, "MAX_KEPT_BYTES", 1000)
    provider.on("one", text("x" * 1000), text("Second"))
    ask(gateway, cast.alice)
    assert content(ask(gateway, cast.alice)) == "Second"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\x80"])
def test_a_key_that_is_none_is_refused(key: str, gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    headers: Any = {"Idempotency-Key": key.encode("latin-1")}
    refused = ask(gateway, cast.alice, headers)
    assert_refused(refused, 400, "invalid_request_error", "invalid_idempotency_key", "Idempotency-Key")
    assert not provider.received


def test_a_wrong_credential_is_told_nothing_of_keys(gateway: LiveGateway, cast: Cast):
    refused = ask(gateway, cast.alice, {**KEY, "Authorization": "Bearer gw_live_wrong"})
    assert refused.status_code == 401


# In flight ------------------------------------------------------------------------------------------------------------


def later(pool: ThreadPoolExecutor, *args: Any, **fields: Any) -> "Future[httpx.Response]":
    return pool.submit(ask, *args, **fields)


def test_the_second_waits_for_the_first(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    gate = Gate(text("First"))
    provider.on("one", gate, text("Second"))
    with ThreadPoolExecutor() as pool:
        both = [later(pool, gateway, cast.alice) for _ in range(2)]
        wait_until(lambda: bool(provider.received), "the provider to be asked")
        gate.open()
        answers = [one.result() for one in both]
    assert [content(one) for one in answers] == ["First", "First"]
    assert len(provider.received) == 1
    assert sorted("idempotent-replayed" in one.headers for one in answers) == [False, True]


def test_if_the_first_fails_the_second_tries_anew(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    gate = Gate(error(400, "invalid_value"))
    provider.on("one", gate, text("Second"))
    with ThreadPoolExecutor() as pool:
        first = later(pool, gateway, cast.alice)
        wait_until(lambda: bool(provider.received), "the provider to be asked")
        second = later(pool, gateway, cast.alice)
        gate.open()
        assert first.result().status_code == 400
        assert content(second.result()) == "Second"


def test_who_waits_in_vain_is_told_to_come_again(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    gate = Gate(text("First"))
    provider.on("one", gate)
    with ThreadPoolExecutor() as pool:
        first = later(pool, gateway, cast.alice)
        wait_until(lambda: bool(provider.received), "the provider to be asked")
        refused = ask(gateway, cast.alice, {**KEY, "x-gateway-timeout-s": "0.2"})
        gate.open()
        first.result()
    assert_refused(refused, 409, "invalid_request_error", "request_in_flight", "Idempotency-Key")
    assert int(refused.headers["retry-after"]) > 0
    assert content(ask(gateway, cast.alice)) == "First"


def test_a_caller_who_hung_up_finds_the_answer_at_the_next_try(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    gate = Gate(text("First"))
    provider.on("one", gate, text("Second"))
    with connect(gateway.url) as connection:
        connection.sendall(_chat(cast.alice, "order 1", stream=False))
        wait_until(lambda: bool(provider.received), "the provider to be asked")
    gate.open()
    assert content(ask(gateway, cast.alice, stream=False)) == "First"
    assert [row.status for row in recorded(2)] == ["ok", "cached"]


def test_a_stream_ends_with_its_caller_and_can_be_tried_anew(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    provider.on("one", then_hang(chunks("a")[:2]), stream(chunks("Hel", "lo")))
    body = {"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with httpx.stream("POST", f"{gateway.url}{CHAT}", json=body, headers={**cast.alice.headers, **KEY}) as response:
        assert response.status_code == 200
    assert provider.received[0].hung_up.wait(5)
    assert ask(gateway, cast.alice, stream=True).text.endswith("data: [DONE]\n\n")


def test_hang_ups_at_any_moment_leave_no_claim(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    for number in range(120):
        streamed = number % 2 == 0
        provider.on("one", stream(chunks("Hel", "lo")) if streamed else text("Hello"))
        with connect(gateway.url) as connection:
            connection.sendall(_chat(cast.alice, f"order {number}", stream=streamed))
            time.sleep(number % 30 / 10_000)
    client = sync_client()

    def held() -> list[bytes]:
        return [name for name in client.scan_iter("*:claim:*") if client.hget(name, "claimant")]

    wait_until(lambda: not held(), "every claim to be given up")


def _chat(member: Member, key: str, **fields: object) -> bytes:
    body = json.dumps({"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}], **fields}).encode()
    headers = {
        "Authorization": f"Bearer {member.key}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Idempotency-Key": key,
    }
    return head("POST", CHAT, headers) + body


def test_the_claim_of_a_process_that_died_ends_by_itself(
    gateway: LiveGateway, cast: Cast, monkeypatch: pytest.MonkeyPatch, provider: FakeProvider
):
    ask(gateway, cast.alice)
    [held] = sync_client().scan_iter("*:claim:*")
    sync_client().hset(held, "claimant", "somebody who died")
    sync_client().pexpire(held, 300)
    assert content(ask(gateway, cast.alice)) == "Second"


def test_a_long_request_holds_its_claim(
    gateway: LiveGateway, cast: Cast, monkeypatch: pytest.MonkeyPatch, provider: FakeProvider
):
    monkeypatch.setattr(claim, "HOLD_S", 0.4)
    monkeypatch.setattr(claim, "RENEW_EVERY_S", 0.1)
    gate = Gate(text("First"))
    provider.on("one", gate, text("Second"))
    with ThreadPoolExecutor() as pool:
        first = later(pool, gateway, cast.alice)
        wait_until(lambda: bool(provider.received), "the provider to be asked")
        refused = ask(gateway, cast.alice, {**KEY, "x-gateway-timeout-s": "1.5"})
        gate.open()
        assert content(first.result()) == "First"
    assert refused.json()["error"]["code"] == "request_in_flight"


def test_answers_are_kept_for_a_day_and_claims_only_while_they_live(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice)
    client = sync_client()
    wait_until(lambda: bool(list(client.scan_iter("*:answer:*"))), "the answer to be kept")
    for name in (*client.scan_iter("*:answer:*"), *client.scan_iter("*:claim:*")):
        assert 86_000 < client.ttl(name) <= 86_400


def test_without_redis_nothing_is_carried_out_twice(
    gateway: LiveGateway, cast: Cast, monkeypatch: pytest.MonkeyPatch, provider: FakeProvider, settings: Any
):
    settings.GATEWAY_LEDGER_DOWN = "open"
    ask(gateway, cast.alice)

    with monkeypatch.context() as patch:
        take_redis_away(patch)
        refused = ask(gateway, cast.alice)
    assert_refused(refused, 503, "gateway_error", "ledger_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert len(provider.received) == 1
    assert content(ask(gateway, cast.alice)) == "First"


def test_anonymous_callers_share_keys_with_nobody_who_has_a_credential(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("open", catalogue.model("fake/three"), public=True)
    provider.on("three", text("to alice"), text("to anybody"))
    nobody_headers = {**KEY, "Cache-Control": "no-store"}
    body = {"model": "open", "messages": [{"role": "user", "content": "Hi"}]}
    assert content(ask(gateway, cast.alice, model="open")) == "to alice"
    answers = [httpx.post(f"{gateway.url}{CHAT}", json=body, headers=nobody_headers) for _ in range(2)]
    assert [content(one) for one in answers] == ["to anybody", "to anybody"]


# Several processes ----------------------------------------------------------------------------------------------------


@pytest.mark.services
def test_the_second_waits_for_the_first_in_another_process(
    cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]], tmp_path: Path
):
    gate = Gate(text("First"))
    provider.on("one", gate, text("Second"))
    one, other = (WebProcess(tmp_path, same_services()) for _ in range(2))
    with one, other, ThreadPoolExecutor() as pool:
        asked = [later(pool, process, cast.alice) for process in (one, other) * 4]
        wait_until(lambda: bool(provider.received), "the provider to be asked")
        gate.open()
        assert {content(answer.result()) for answer in asked} == {"First"}
    assert len(provider.received) == 1
    assert sorted(row.status for row in recorded(8)) == ["cached"] * 7 + ["ok"]


@pytest.mark.services
@pytest.mark.usefixtures("transactional_db")
def test_a_process_that_is_killed_blocks_a_key_for_no_longer_than_its_claim_holds(
    cast: Cast, provider: FakeProvider, tmp_path: Path
):
    provider.on("one", Gate(text("First")), text("Second"))
    one, other = (WebProcess(tmp_path, same_services()) for _ in range(2))
    with one, other, ThreadPoolExecutor() as pool:
        lost = later(pool, one, cast.alice)
        wait_until(lambda: bool(provider.received), "the provider to be asked")
        one.kill()
        assert isinstance(lost.exception(), httpx.TransportError)
        [held] = sync_client().scan_iter("*:claim:*")
        assert 0 < sync_client().pttl(held) <= 60_000
        waiting = later(pool, other, cast.alice)
        sync_client().pexpire(held, 500)  # rather than waiting for a minute
        assert content(waiting.result()) == "Second"

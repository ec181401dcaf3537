"""Every accepted request becomes exactly one usage row."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import httpx
import openai
import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunks, error, stream, text

MESSAGES = [{"role": "user", "content": "Hi"}]
Recorded = Callable[..., list[Usage]]


def ask(gateway: LiveGateway, cast: Cast, model: str, **fields: object) -> httpx.Response:
    body = {"model": model, "messages": MESSAGES, **fields}
    headers = {**cast.alice.headers, "x-gateway-tags": "nightly, batch 7"}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def test_an_answer_is_recorded_with_everything_the_ledger_shows(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Recorded
):
    two = catalogue.model("fake/two", input_price_per_mtok=Decimal("2.5"), output_price_per_mtok=Decimal(10))
    catalogue.chain("chain", catalogue.model("fake/one"), two)
    provider.on("one", error(503, "overloaded"))
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 50},
    }
    provider.on("two", text("Hello", usage=usage))
    response = ask(gateway, cast, "chain")
    assert response.headers["x-gateway-cost-usd"] == "0.004500"
    [row] = recorded()
    assert row.request_id == response.headers["x-request-id"]
    assert (row.tenant_id, row.tenant_name, row.user_id, row.username) == (
        cast.acme.pk, "acme", cast.alice.user.pk, "alice",
    )  # fmt: skip
    assert (row.key_id, row.key_name) == (cast.alice.key_row.pk, "alice's key")
    assert (row.endpoint, row.chain, row.requested_model) == ("chat", "chain", "chain")
    assert (row.served_model, row.provider, row.status, row.error_code) == ("fake/two", "fake", "ok", "")
    assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.reasoning_tokens) == (1000, 200, 400, 50)
    assert row.quality == "reported"
    assert row.cost_microusd == 4500
    assert (row.input_price_per_mtok, row.output_price_per_mtok) == (Decimal("2.5"), Decimal(10))
    assert row.streamed is False
    assert row.first_token_ms is not None
    assert row.latency_ms >= row.first_token_ms
    assert [(a["model"], a["status"], a["code"]) for a in row.attempts] == [
        ("fake/one", 503, "overloaded"),
        ("fake/two", 200, None),
    ]
    assert row.tags == ["nightly", "batch 7"]


def test_a_stream_is_recorded_with_the_providers_counts(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Recorded
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Hello", usage=(11, 5))))
    ask(gateway, cast, "fake/one", stream=True)
    [row] = recorded()
    assert (row.streamed, row.status, row.prompt_tokens, row.completion_tokens) == (True, "ok", 11, 5)


@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_without_usage_is_counted_by_us(
    streaming: bool, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Recorded
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("one two three", usage=None)) if streaming else text("one two three", usage=None))
    ask(gateway, cast, "fake/one", stream=streaming)
    [row] = recorded()
    assert (row.quality, row.completion_tokens) == ("counted", 3)
    assert row.prompt_tokens > 0


def test_a_failed_chain_is_recorded_and_costs_nothing(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Recorded
):
    catalogue.model("fake/one")
    provider.on("one", error(503, "overloaded"))
    ask(gateway, cast, "fake/one")
    [row] = recorded()
    assert (row.status, row.error_code, row.prompt_tokens, row.cost_microusd) == ("failed", "overloaded", 0, 0)


def test_a_refusal_by_the_provider_is_recorded(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Recorded
):
    catalogue.model("fake/one")
    provider.on("one", error(400, "invalid_value"))
    ask(gateway, cast, "fake/one")
    [row] = recorded()
    assert (row.status, row.error_code) == ("rejected", "invalid_value")


def test_a_cut_answer_is_recorded_with_what_was_delivered(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Recorded
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("one", " two", " three")[:3], cut=True))
    ask(gateway, cast, "fake/one", stream=True)
    [row] = recorded()
    assert (row.status, row.error_code, row.completion_tokens) == ("cut", "connection_broken", 2)


def test_a_refused_request_is_not_recorded(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Recorded
):
    catalogue.model("fake/one")
    provider.on("one", text())
    assert ask(gateway, cast, "nowhere").status_code == 404
    assert ask(gateway, cast, "fake/one", n="two").status_code == 400
    ask(gateway, cast, "fake/one")
    assert len(recorded()) == 1


def test_two_hundred_streams_at_once_are_whole_and_recorded(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Recorded
):
    catalogue.model("fake/one")
    words = [f"w{number} " for number in range(100)]
    provider.on("one", stream(chunks(*words, usage=(7, 100))))

    async def read_one(client: openai.AsyncOpenAI) -> str:
        answer = await client.chat.completions.create(model="fake/one", messages=MESSAGES, stream=True)
        return "".join([event.choices[0].delta.content or "" async for event in answer if event.choices])

    async def read_all() -> list[str]:
        async with gateway.async_sdk(cast.alice, timeout=60) as client:
            return await asyncio.gather(*(read_one(client) for _ in range(200)))

    assert set(asyncio.run(read_all())) == {"".join(words)}
    rows = recorded(200)
    assert len(rows) == len({row.request_id for row in rows}) == 200
    assert {(row.status, row.prompt_tokens, row.completion_tokens) for row in rows} == {("ok", 7, 100)}

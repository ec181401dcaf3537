"""Monthly token budgets: reserved before, exact after."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from accounts.ledger import keys
from accounts.models import APIKey, MonthlyTally, TopUp
from accounts.redis import sync_client
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunks, error, stream, text

MESSAGES = [{"role": "user", "content": "Hi"}]
Recorded = Callable[..., list[Usage]]
LEFT = "x-gateway-budget-remaining-tokens"


def ask(gateway: LiveGateway, headers: dict[str, str], **fields: object) -> httpx.Response:
    body = {"model": "fake/one", "messages": MESSAGES, **fields}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def budget(gateway: LiveGateway, headers: dict[str, str], scope: str) -> dict[str, Any]:
    """The live state of one budget, once nothing is reserved any more."""

    def state() -> dict[str, Any]:
        budgets = httpx.get(f"{gateway.url}/v1/usage", headers=headers).json()["budgets"]
        return dict(next(entry for entry in budgets if entry["scope"] == scope))

    wait_until(lambda: state()["reserved"] == 0, "every reservation to be settled")
    return state()


def set_budget(row: object, tokens: int | None) -> None:
    row.monthly_token_budget = tokens  # type: ignore[attr-defined]
    row.save()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _one_model(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.model("fake/one", max_output_tokens=1000)
    provider.on("one", text("Hello"))  # 10 tokens


@pytest.mark.parametrize("scope", ["tenant", "user", "key"])
def test_what_an_answer_used_is_spent(scope: str, gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    row = {"tenant": cast.acme, "user": cast.alice.user, "key": cast.alice.key_row}[scope]
    set_budget(row, 5000)
    response = ask(gateway, cast.alice.headers, max_tokens=50)
    assert response.status_code == 200
    state = budget(gateway, cast.alice.headers, scope)
    assert (state["limit"], state["spent"], state["left"]) == (5000, 10, 4990)
    assert provider.bodies("one")[0]["max_tokens"] == 50


def test_a_spent_budget_is_final_and_the_sdk_does_not_retry_it(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider
):
    set_budget(cast.alice.user, 5)
    sent: list[httpx.Request] = []
    usual = httpx.Client(event_hooks={"request": [sent.append]})
    client = gateway.sdk(cast.alice, max_retries=openai.DEFAULT_MAX_RETRIES, http_client=usual)
    with pytest.raises(openai.RateLimitError) as refusal:
        client.chat.completions.create(model="fake/one", messages=MESSAGES, max_tokens=50)
    assert len(sent) == 1
    assert refusal.value.code == "insufficient_quota"
    assert refusal.value.response.headers["x-should-retry"] == "false"
    assert "your user" in refusal.value.message
    assert provider.received == []


def test_what_is_only_reserved_may_be_tried_again(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    set_budget(cast.alice.user, 1000)
    provider.on("one", stream(chunks("Hel", "lo"), pause_s=0.3))
    body = {"model": "fake/one", "messages": MESSAGES, "stream": True, "max_tokens": 700}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, headers=cast.alice.headers) as first:
        assert first.status_code == 200
        refused = ask(gateway, cast.alice.headers, max_tokens=700)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_reserved")
        assert int(refused.headers["retry-after"]) >= 1
        first.read()
    assert budget(gateway, cast.alice.headers, "user")["spent"] == 10
    provider.on("one", text("Hello"))
    assert ask(gateway, cast.alice.headers, max_tokens=700).status_code == 200


def test_nothing_is_injected_while_there_is_room(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    set_budget(cast.alice.user, 100_000)
    ask(gateway, cast.alice.headers)
    assert "max_tokens" not in provider.bodies("one")[0]
    assert "max_completion_tokens" not in provider.bodies("one")[0]


def test_the_chains_cap_is_injected_where_the_models_own_limit_does_not_fit(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    set_budget(cast.alice.user, 500)
    catalogue.chain("chain", catalogue.model("fake/two", max_output_tokens=1000), default_max_tokens=100)
    provider.on("two", text("Hello"))
    assert ask(gateway, cast.alice.headers, model="chain").status_code == 200
    assert provider.bodies("two")[0]["max_completion_tokens"] == 100


def test_a_chain_may_shorten_the_answer_to_what_is_left(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    set_budget(cast.alice.user, 100)
    catalogue.chain("chain", catalogue.model("fake/two", max_output_tokens=1000), clamp_max_tokens=True)
    provider.on("two", text("Hello"))
    assert ask(gateway, cast.alice.headers, model="chain", max_tokens=900).status_code == 200
    assert 0 < provider.bodies("two")[0]["max_tokens"] < 100


def test_a_soft_budget_only_counts(gateway: LiveGateway, cast: Cast):
    cast.acme.budget_mode = "soft"
    set_budget(cast.acme, 5)
    assert ask(gateway, cast.alice.headers).status_code == 200
    state = budget(gateway, cast.alice.headers, "tenant")
    assert (state["mode"], state["spent"], state["left"]) == ("soft", 10, 0)


def test_a_soft_budget_of_the_tenant_leaves_the_users_hard(gateway: LiveGateway, cast: Cast):
    cast.acme.budget_mode = "soft"
    set_budget(cast.acme, 1)
    set_budget(cast.alice.user, 5)
    refused = ask(gateway, cast.alice.headers, max_tokens=50)
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert "your user" in refused.json()["error"]["message"]
    assert ask(gateway, cast.bob.headers, max_tokens=50).status_code == 200


def test_a_budget_lowered_in_mid_month_holds_from_the_next_request_on(gateway: LiveGateway, cast: Cast):
    set_budget(cast.acme, 1000)
    assert ask(gateway, cast.alice.headers, max_tokens=50).status_code == 200
    budget(gateway, cast.alice.headers, "tenant")
    set_budget(cast.acme, 8)  # less than the 10 that are spent
    refused = ask(gateway, cast.alice.headers, max_tokens=1)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert refused.headers["x-gateway-budget-remaining-tokens"] == "0"
    state = budget(gateway, cast.alice.headers, "tenant")
    assert (state["limit"], state["spent"], state["left"]) == (8, 10, 0)
    set_budget(cast.acme, None)
    assert ask(gateway, cast.alice.headers, max_tokens=50).status_code == 200


def test_a_user_with_two_keys_has_one_budget(gateway: LiveGateway, cast: Cast):
    _, second_key = APIKey.issue(cast.alice.user, "second")
    set_budget(cast.alice.user, 5000)
    for number, headers in enumerate((cast.alice.headers, {"x-api-key": second_key}), start=1):
        assert ask(gateway, headers, max_tokens=50, seed=number).status_code == 200
        assert budget(gateway, headers, "user")["spent"] == 10 * number
    set_budget(cast.alice.user, 20)
    assert {ask(gateway, headers).status_code for headers in (cast.alice.headers, {"x-api-key": second_key})} == {429}


def test_tokens_taken_away_in_mid_month_are_gone_at_once(gateway: LiveGateway, cast: Cast):
    set_budget(cast.acme, 5000)
    month = httpx.get(f"{gateway.url}/v1/usage", headers=cast.alice.headers).json()["period"]["start"][:7]
    TopUp.objects.create(tenant=cast.acme, month=month, tokens=-4990, reason="A mistake", created_by=cast.bob.user)
    assert ask(gateway, cast.alice.headers, max_tokens=50).json()["error"]["code"] == "insufficient_quota"
    wait_until(lambda: sync_client().scard(keys.EXHAUSTED) == 1, "the refusal to be remembered, for a warning")


def test_a_top_up_gives_room_at_once(gateway: LiveGateway, cast: Cast):
    set_budget(cast.alice.user, 5)
    assert ask(gateway, cast.alice.headers, max_tokens=50).status_code == 429
    month = httpx.get(f"{gateway.url}/v1/usage", headers=cast.alice.headers).json()["period"]["start"][:7]
    TopUp.objects.create(user=cast.alice.user, month=month, tokens=5000, reason="A launch", created_by=cast.bob.user)
    assert ask(gateway, cast.alice.headers, max_tokens=50).status_code == 200


def test_a_failed_chain_gives_everything_back(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    set_budget(cast.alice.user, 5000)
    provider.on("one", error(503))
    assert ask(gateway, cast.alice.headers).status_code == 502
    assert budget(gateway, cast.alice.headers, "user")["spent"] == 0


def test_more_choices_reserve_more(gateway: LiveGateway, cast: Cast):
    set_budget(cast.alice.user, 1000)
    assert ask(gateway, cast.alice.headers, max_tokens=400, n=2).status_code == 200
    assert ask(gateway, cast.alice.headers, max_tokens=400, n=3).json()["error"]["code"] == "insufficient_quota"


def test_what_is_left_is_in_the_headers(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    set_budget(cast.acme, 10_000)
    set_budget(cast.alice.user, 5000)
    provider.on("one", text("Hello", usage={"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}))
    answers = [ask(gateway, cast.alice.headers, max_tokens=50) for _ in range(2)]
    assert [answer.headers["x-gateway-cache"] for answer in answers] == ["miss", "hit"]
    assert [answer.headers[LEFT] for answer in answers] == ["4958", "4958"]


def test_what_a_stream_has_reserved_is_not_left_yet(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    set_budget(cast.alice.user, 5000)
    provider.on("one", stream(chunks("Hello")))
    assert 4500 < int(ask(gateway, cast.alice.headers, max_tokens=50, stream=True).headers[LEFT]) < 4950


def test_exactly_as_many_as_fit_are_admitted_at_once(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Recorded
):
    seeds = itertools.count(100)  # each body is another, so that none is answered from the cache

    def body() -> dict[str, object]:
        return {"model": "fake/one", "messages": MESSAGES, "max_tokens": 1000, "seed": next(seeds)}

    size = len(httpx.Request("POST", "http://x", json=body()).content) + 1000
    set_budget(cast.acme, 7 * size)
    usage = {"prompt_tokens": size - 1000, "completion_tokens": 1000, "total_tokens": size}
    provider.on("one", text("Hello", usage=usage))

    async def ask_all() -> list[int]:
        async with httpx.AsyncClient(timeout=60, headers=cast.alice.headers) as client:
            url = f"{gateway.url}/v1/chat/completions"
            answers = await asyncio.gather(*(client.post(url, json=body()) for _ in range(60)))
            return [answer.status_code for answer in answers]

    statuses = asyncio.run(ask_all())
    assert statuses.count(200) == 7
    assert asyncio.run(ask_all()).count(200) == 0
    rows = recorded(7)
    spent = budget(gateway, cast.alice.headers, "tenant")["spent"]
    assert spent == sum(row.total_tokens for row in rows) == 7 * size
    tally = MonthlyTally.objects.get(scope="tenant", subject=str(cast.acme.pk))
    assert (tally.requests, tally.tokens) == (7, spent)


def test_usage_shows_the_month(gateway: LiveGateway, cast: Cast, recorded: Recorded):
    cast.acme.time_zone = "Pacific/Auckland"
    set_budget(cast.acme, 5000)
    ask(gateway, cast.alice.headers)
    recorded()
    usage = httpx.get(f"{gateway.url}/v1/usage", headers=cast.alice.headers).json()
    assert usage["object"] == "usage"
    assert usage["period"]["time_zone"] == "Pacific/Auckland"
    assert usage["period"]["start"][8:19] == "01T00:00:00"
    assert (usage["requests"], usage["prompt_tokens"], usage["completion_tokens"]) == (1, 7, 3)
    assert [entry["scope"] for entry in usage["budgets"]] == ["tenant"]
    others = httpx.get(f"{gateway.url}/v1/usage", headers=cast.charlie.headers).json()
    assert (others["requests"], others["budgets"]) == (0, [])

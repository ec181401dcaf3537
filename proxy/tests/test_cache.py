"""The response cache."""

from collections.abc import Callable

import httpx
import pytest

from accounts.models import User
from accounts.redis import sync_client
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.models import ModelChain, Usage
from proxy.tests.fake_provider import FakeProvider, error, text

MESSAGES = [{"role": "user", "content": "Hi"}]


def ask(gateway: LiveGateway, headers: dict[str, str], **fields: object) -> httpx.Response:
    body = {"model": "chain", "messages": MESSAGES, **fields}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


@pytest.fixture(autouse=True)
def _one_chain(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", text("First"), text("Second"))
    provider.on("two", text("Other"))


def test_the_same_request_is_answered_from_the_cache(
    gateway: LiveGateway, cast: Cast, recorded: Callable[..., list[Usage]]
):
    first, second = ask(gateway, cast.alice.headers), ask(gateway, cast.alice.headers)
    assert (first.headers["x-gateway-cache"], second.headers["x-gateway-cache"]) == ("miss", "hit")
    assert second.content == first.content
    assert int(second.headers["age"]) >= 0
    assert second.headers["x-gateway-model"] == "fake/one"
    assert second.headers["x-gateway-cost-usd"] == "0.000000"
    row = recorded(2)[1]
    assert (row.status, row.prompt_tokens, row.completion_tokens, row.cost_microusd) == ("cached", 0, 0, 0)


def content(response: httpx.Response) -> str:
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def test_colleagues_share_answers_and_tenants_do_not(gateway: LiveGateway, cast: Cast):
    members = (cast.alice, cast.charlie, cast.bob, cast.charlie, cast.alice)
    answers = [ask(gateway, member.headers) for member in members]
    assert [answer.headers["x-gateway-cache"] for answer in answers] == ["miss", "miss", "hit", "hit", "hit"]
    assert [content(answer) for answer in answers] == ["First", "Second", "First", "Second", "First"]


def kept(count: int) -> set[bytes]:
    """The names of the cache's entries, once there are so many."""

    def names() -> set[bytes]:
        return set(sync_client().scan_iter("*:cache:*"))

    wait_until(lambda: len(names()) == count, f"{count} answers to be kept")
    return names()


def test_an_entry_that_got_into_another_tenants_place_is_not_shown(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice.headers)
    [of_acme] = kept(1)
    ask(gateway, cast.charlie.headers)
    [of_globex] = kept(2) - {of_acme}
    sync_client().set(of_globex, sync_client().get(of_acme) or b"")
    assert content(ask(gateway, cast.charlie.headers)) != "First"


def test_an_entry_that_is_none_opens_no_way_around_a_budget(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice.headers)
    [name] = kept(1)
    sync_client().set(name, "spoilt")
    User.objects.filter(pk=cast.alice.user.pk).update(monthly_token_budget=10)
    assert ask(gateway, cast.alice.headers).status_code == 429


def test_who_has_no_credential_and_who_has_one_share_nothing(gateway: LiveGateway, cast: Cast):
    chain = ModelChain.objects.get(name="chain")
    chain.public = True
    chain.save()
    assert [content(ask(gateway, headers)) for headers in (cast.alice.headers, {}, cast.alice.headers, {})] == [
        "First",
        "Second",
        "First",
        "Second",
    ]


def test_another_body_is_another_answer(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice.headers)
    assert ask(gateway, cast.alice.headers, temperature=0).headers["x-gateway-cache"] == "miss"


def test_no_cache_does_not_read_but_writes(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice.headers)
    fresh = ask(gateway, {**cast.alice.headers, "Cache-Control": "no-cache"})
    assert (fresh.headers["x-gateway-cache"], fresh.json()["choices"][0]["message"]["content"]) == ("bypass", "Second")
    assert ask(gateway, cast.alice.headers).content == fresh.content


def test_no_store_neither_reads_nor_writes(gateway: LiveGateway, cast: Cast):
    headers = {**cast.alice.headers, "Cache-Control": "no-store"}
    assert [ask(gateway, headers).headers["x-gateway-cache"] for _ in range(2)] == ["bypass", "bypass"]
    assert ask(gateway, cast.alice.headers).headers["x-gateway-cache"] == "miss"


def test_a_fallbacks_answer_is_not_kept(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    provider.on("one", error(503))
    ask(gateway, cast.alice.headers)
    assert ask(gateway, cast.alice.headers).headers["x-gateway-cache"] == "miss"


def test_an_edited_chain_forgets(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice.headers)
    chain = ModelChain.objects.get(name="chain")
    chain.deadline_s = 60
    chain.save()
    assert ask(gateway, cast.alice.headers).headers["x-gateway-cache"] == "miss"


def test_a_chain_may_go_without(gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider):
    catalogue.chain("uncached", catalogue.model("fake/three"), cache_ttl_s=0)
    provider.on("three", text("Hello"))
    states = [ask(gateway, cast.alice.headers, model="uncached").headers["x-gateway-cache"] for _ in range(2)]
    assert states == ["bypass", "bypass"]


def test_a_hit_counts_a_request_but_no_tokens(gateway: LiveGateway, cast: Cast):
    cast.alice.user.requests_per_minute = 2
    cast.alice.user.save()
    assert [ask(gateway, cast.alice.headers).status_code for _ in range(3)] == [200, 200, 429]

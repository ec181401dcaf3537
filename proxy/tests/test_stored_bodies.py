"""Prompts and answers of plain calls: stored for tenants that want it, and for nobody else."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Tenant
from accounts.tests.admin_pages import make_operator, signed_in, text_of
from conftest import Cast, Catalogue, LiveGateway, Member
from proxy import tasks, transcript
from proxy.models import DeadLetter, StoredBody, Usage
from proxy.tests.admin_rows import make_usage
from proxy.tests.fake_provider import FakeProvider, answer, chunks, completion, error, stream, text
from proxy.tests.usage_events import append, event
from proxy.usage.drain import drain

MESSAGES = [{"role": "user", "content": "Where is Ouagadougou?"}]
DAY = timedelta(days=1)


def store(tenant: Tenant, days: int = 30) -> None:
    tenant.store_bodies_days = days
    tenant.save()


@pytest.fixture
def models(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.chain("chain", catalogue.model("fake/one"), cache_streams=True)
    provider.on("one", text("In Burkina Faso."))


def ask(
    gateway: LiveGateway, member: Member, headers: dict[str, str] | None = None, **fields: object
) -> httpx.Response:
    body = {"model": "chain", "messages": MESSAGES, **fields}
    return httpx.post(
        f"{gateway.url}/v1/chat/completions", json=body, headers={**member.headers, **(headers or {})}, timeout=20
    )


def stored(response: httpx.Response, tenant: Tenant) -> StoredBody:
    body = StoredBody.objects.for_request(response.headers["x-request-id"], tenant.pk)
    assert body is not None
    return body


def said(body: StoredBody) -> str:
    assert body.answer
    content: str = body.answer["choices"][0]["message"]["content"]
    return content


@pytest.mark.usefixtures("models")
def test_a_prompt_and_its_answer_are_stored_where_the_tenant_wants_it(
    gateway: LiveGateway, cast: Cast, recorded: Callable[..., list[Usage]]
):
    store(cast.acme)
    asked = ask(gateway, cast.alice, temperature=0.5, fallbacks=["fake/one"])
    [row] = recorded()
    body = stored(asked, cast.acme)
    assert body.request == {
        "model": "chain",
        "messages": MESSAGES,
        "temperature": 0.5,
        "fallbacks": ["fake/one"],
    }
    assert body.answer == asked.json()
    assert (body.request_id, body.created_at) == (row.request_id, row.created_at)


@pytest.mark.usefixtures("models")
def test_nothing_is_stored_where_it_does_not(gateway: LiveGateway, cast: Cast, recorded: Callable[..., list[Usage]]):
    store(cast.globex)
    ask(gateway, cast.alice)
    recorded()
    assert not StoredBody.objects.exists()


@pytest.mark.usefixtures("models")
def test_a_stream_is_put_together(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    store(cast.acme)
    provider.on("one", stream(chunks("In Burkina", " Faso.")))
    asked = ask(gateway, cast.alice, stream=True)
    recorded()
    body = stored(asked, cast.acme)
    assert said(body) == "In Burkina Faso."
    assert body.answer
    assert body.answer["choices"][0]["finish_reason"] == "stop"
    assert body.answer["object"] == "chat.completion"


@pytest.mark.usefixtures("models")
def test_of_a_stream_that_broke_off_what_came_is_stored(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    store(cast.acme)
    provider.on("one", stream(chunks("In Burkina", " Faso.")[:2], cut=True))
    asked = ask(gateway, cast.alice, stream=True)
    recorded()
    assert said(stored(asked, cast.acme)) == "In Burkina"


@pytest.mark.usefixtures("models")
def test_of_a_failure_only_the_prompt_is_stored(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    store(cast.acme)
    provider.on("one", error(400, "invalid_value"))
    asked = ask(gateway, cast.alice)
    recorded()
    body = stored(asked, cast.acme)
    assert body.request
    assert (body.answer, body.is_answer_too_long) == (None, False)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_from_the_cache_or_given_again_is_stored_like_any_other(
    streamed: bool, gateway: LiveGateway, cast: Cast, recorded: Callable[..., list[Usage]]
):
    store(cast.acme)
    ask(gateway, cast.alice)
    key = {"Idempotency-Key": "one"}
    hits = [ask(gateway, cast.alice, headers, stream=streamed) for headers in ({}, key, key)]
    assert [hit.headers["x-gateway-cache"] for hit in hits] == ["hit"] * 3
    assert "idempotent-replayed" in hits[2].headers
    recorded(4)
    assert {said(stored(hit, cast.acme)) for hit in hits} == {"In Burkina Faso."}


@pytest.mark.usefixtures("models")
def test_what_is_too_long_is_left_out_and_said_to_be(
    gateway: LiveGateway,
    cast: Cast,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    recorded: Callable[..., list[Usage]],
):
    store(cast.acme)
    monkeypatch.setattr(transcript, "MAX_BODY_BYTES", 2000)
    provider.on("one", text("x" * 2000))
    long_answer, long_prompt = ask(gateway, cast.alice), ask(gateway, cast.alice, user="y" * 2000)
    recorded(2)
    body = stored(long_answer, cast.acme)
    assert body.request
    assert (body.answer, body.is_answer_too_long, body.answer_bytes > 2000) == (None, True, True)
    body = stored(long_prompt, cast.acme)
    assert (body.request, body.is_request_too_long, body.request_bytes > 2000) == (None, True, True)


@pytest.mark.usefixtures("models")
def test_characters_that_postgres_refuses_cost_nothing(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    store(cast.acme)
    odd = "a NUL \0, a backslash \\u0000, a word beyond the first plane: 𝄞"
    provider.on("one", answer(completion(odd)))
    asked = ask(gateway, cast.alice)
    assert recorded()[0].status == "ok"
    assert said(stored(asked, cast.acme)) == odd


@pytest.mark.usefixtures("models")
def test_a_streamed_nul_costs_nothing_either(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    store(cast.acme)
    provider.on("one", stream(chunks("a", "\0", "b")))
    asked = ask(gateway, cast.alice, stream=True)
    assert recorded()[0].status == "ok"
    assert said(stored(asked, cast.acme)) == "a\0b"


# The drain ------------------------------------------------------------------------------------------------------------


def body_of(request_json: Any = None, answer_json: Any = None) -> dict[str, Any]:
    return {"request": {"bytes": 2, "json": request_json or {"a": 1}}, "answer": {"bytes": 0, "json": answer_json}}


def make_stored(tenant: Tenant, request_id: str = "req_1", age: timedelta = timedelta()) -> StoredBody:
    return StoredBody.objects.create(
        request_id=request_id,
        tenant_id=tenant.pk,
        created_at=timezone.now() - age,
        request_json='{"messages": [{"role": "user", "content": "<b>Hi</b>"}]}',
        request_bytes=56,
        answer_bytes=300_000,
    )


@pytest.mark.django_db(transaction=True)
def test_an_event_that_comes_again_stores_its_body_once(cast: Cast):
    told = event(tenant_id=cast.acme.pk, body=body_of())
    append(told, told)
    drain()
    assert StoredBody.objects.count() == Usage.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("body", ["text", 7, [], {"request": "text", "answer": {"json": [1], "bytes": "many"}}, "deep"])
def test_a_body_that_cannot_be_read_does_not_cost_the_row(body: Any, cast: Cast):
    deep: dict[str, Any] = {}
    for _ in range(300):  # more levels than orjson writes
        deep = {"a": deep}
    append(event(tenant_id=cast.acme.pk, body={"answer": {"json": deep}} if body == "deep" else body))
    drain()
    assert Usage.objects.count() == 1
    assert not DeadLetter.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_dead_letter_does_not_keep_what_was_said(cast: Cast):
    append(event(tenant_id=cast.acme.pk, status=None, body=body_of({"messages": "secret"})))
    drain()
    assert "secret" not in DeadLetter.objects.get().payload
    assert not StoredBody.objects.exists()


# Retention ------------------------------------------------------------------------------------------------------------


def test_what_a_tenant_no_longer_keeps_is_deleted_at_night(cast: Cast):
    store(cast.acme, 7)
    store(cast.globex, 30)
    make_stored(cast.acme, "req_old", 8 * DAY)
    make_stored(cast.acme, "req_young", 6 * DAY)
    make_stored(cast.globex, "req_other", 8 * DAY)
    assert tasks.delete_expired_bodies() == 1
    assert set(StoredBody.objects.values_list("request_id", flat=True)) == {"req_young", "req_other"}


def test_switching_it_off_deletes_everything(cast: Cast):
    make_stored(cast.acme)
    assert tasks.delete_expired_bodies() == 1


def test_what_a_deleted_tenant_had_stored_is_deleted(cast: Cast):
    gone = Tenant.objects.create(name="gone", store_bodies_days=30)
    make_stored(gone)
    gone.delete()
    assert tasks.delete_expired_bodies() == 1


def test_nobody_finds_what_is_too_old_or_switched_off_or_another_tenants(cast: Cast):
    store(cast.acme, 7)
    store(cast.globex, 7)
    make_stored(cast.acme, "req_old", 8 * DAY)
    make_stored(cast.acme, "req_young", 6 * DAY)
    find = StoredBody.objects.for_request
    assert find("req_young", cast.acme.pk) is not None
    assert find("req_old", cast.acme.pk) is None
    assert find("req_young", cast.globex.pk) is None
    assert find("req_young", None) is None
    store(cast.acme, 0)
    assert find("req_young", cast.acme.pk) is None


# The admin ------------------------------------------------------------------------------------------------------------


def explained(client: Client, request_id: str = "req_1") -> str:
    return text_of(client.get("/admin/proxy/usage/explain/", {"request_id": request_id}))


def test_operators_and_the_tenants_administrators_read_it(cast: Cast):
    store(cast.acme)
    make_usage(cast.alice, "req_1")
    make_stored(cast.acme)
    for client in (signed_in(make_operator()), signed_in(cast.bob.user)):
        page = explained(client)
        assert "&lt;b&gt;Hi&lt;/b&gt;" in page
        assert "<b>Hi</b>" not in page
        assert "Too long to be stored: 300000 bytes." in page.replace(",", "")


def test_administrators_of_other_tenants_do_not(cast: Cast):
    store(cast.acme)
    make_usage(cast.alice, "req_1")
    make_stored(cast.acme)
    cast.charlie.user.role = "tenant_admin"
    cast.charlie.user.save()
    page = explained(signed_in(cast.charlie.user))
    assert "Hi" not in page
    assert "no record of this request" in page


def test_where_nothing_is_stored_the_page_says_how_to_change_that(cast: Cast):
    make_usage(cast.alice, "req_1")
    assert "Prompt and answer are not stored" in explained(signed_in(make_operator()))


def test_the_tenants_page_has_the_setting_and_says_what_it_does(cast: Cast):
    page = text_of(signed_in(make_operator()).get(f"/admin/accounts/tenant/{cast.acme.pk}/change/"))
    assert 'name="store_bodies_days"' in page
    assert "word for word" in page

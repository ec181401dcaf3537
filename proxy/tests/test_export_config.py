"""`manage.py export_config`: what it prints makes the same configuration again."""

from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings, strategies as st

from accounts.models import APIKey, Tenant, User
from conftest import Cast
from proxy.models import Model, ModelChain, Provider
from proxy.tests.config_files import ACME, CATALOGUE, apply, export

pytestmark = pytest.mark.django_db


def empty_the_database() -> None:
    for model in (ModelChain, Model, Provider, APIKey, User, Tenant):
        model._default_manager.all().delete()


def test_an_export_looks_like_this():
    apply(CATALOGUE)
    apply("""
models: [{name: openai/a, provider: openai, upstream_name: a, output_price_per_mtok: 0.6, input_price_per_mtok: 3}]
chains:
  - name: default
    links: [{model: openai/b, stall_timeout_s: 2.5}, openai/a]
    tenants: [acme]
    public: true
tenants:
  - name: globex
  - name: acme
    monthly_token_budget: 1000000
    users:
      - {username: bob, role: tenant_admin, requests_per_minute: null, is_active: false}
      - {username: alice, requests_per_minute: 60}
""")
    assert (
        export()
        == """\
providers:
  - name: openai
    kind: openai
    base_url: https://api.openai.com/v1
    api_key_env: OPENAI_API_KEY

models:
  - name: openai/a
    provider: openai
    upstream_name: a
    input_price_per_mtok: 3
    output_price_per_mtok: 0.6
  - name: openai/b
    provider: openai
    upstream_name: b

chains:
  - name: default
    links:
      - model: openai/b
        stall_timeout_s: 2.5
      - openai/a
    public: true
    tenants:
      - acme

tenants:
  - name: acme
    monthly_token_budget: 1000000
    users:
      - username: alice
        requests_per_minute: 60
      - username: bob
        role: tenant_admin
        requests_per_minute: null
        is_active: false
  - name: globex
    users: []
"""
    )


def test_an_empty_database_is_four_empty_sections():
    assert yaml.safe_load(export()) == {"providers": [], "models": [], "chains": [], "tenants": []}


def test_secrets_are_not_exported(cast: Cast):
    provider = Provider(name="openai", kind="openai")
    provider.set_api_key("sk-stored")
    provider.save()
    exported = export()
    for secret in ("sk-stored", provider.sealed_api_key, cast.alice.user.password, cast.alice.key, "password"):
        assert secret not in exported


def test_superusers_and_users_without_a_tenant_are_left_out(cast: Cast):
    User.objects.create_superuser("owner", tenant=cast.acme)
    User.objects.create_superuser("root")
    exported = yaml.safe_load(export())
    assert [user["username"] for tenant in exported["tenants"] for user in tenant["users"]] == [
        "alice",
        "bob",
        "charlie",
    ]
    assert apply(export(), "--prune") == []


def test_the_order_is_that_of_the_names_on_every_database():
    names = ["b", "A", "a", "B", "a-b", "a_b", "aa"]
    apply(yaml.safe_dump({"tenants": [{"name": name} for name in names]}))
    assert [tenant["name"] for tenant in yaml.safe_load(export())["tenants"]] == sorted(names)


def test_the_command_prints_nothing_else(capsys: pytest.CaptureFixture[str]):
    apply(ACME)
    call_command("export_config")
    assert capsys.readouterr().out == export()


# Any configuration -------------------------------------------------------------------------------------------------

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,20}", fullmatch=True)
slugs = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
texts = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=40)
counts = st.none() | st.integers(1, 2**31 - 1)
seconds = st.floats(0.1, 1e6) | st.integers(1, 10**6)
prices = st.none() | st.integers(0, 10**12 - 1).map(lambda microdollars: microdollars / 10**6)
addresses = st.sampled_from(["", "https://example.com/v1", "http://ollama:11434/v1", "http://[::1]:8000"])


def some(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def named(entries: st.SearchStrategy[dict[str, Any]], key: str = "name") -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(entries, max_size=3, unique_by=lambda entry: entry[key])


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    tenants = draw(named(some({"name": slugs}, TENANT)))
    usernames = draw(st.lists(slugs, max_size=4, unique=True))
    for username in usernames if tenants else ():
        tenant = draw(st.sampled_from(tenants))
        tenant.setdefault("users", []).append(draw(some({"username": st.just(username)}, USER)))
    whom = st.lists(st.sampled_from([tenant["name"] for tenant in tenants]), unique=True) if tenants else st.just([])
    providers = draw(named(some({"name": names, "kind": texts}, PROVIDER)))
    models = draw(
        named(
            some(
                {
                    "name": names,
                    "provider": st.sampled_from([provider["name"] for provider in providers]),
                    "upstream_name": texts,
                },
                {**MODEL, "tenants": whom},
            )
        )
        if providers
        else st.just([])
    )
    model = st.sampled_from([model["name"] for model in models]) if models else st.nothing()
    links = st.lists(model | some({"model": model}, LINK), max_size=4) if models else st.just([])
    chains = draw(named(some({"name": names, "links": links}, {**CHAIN, "tenants": whom})))
    return {"providers": providers, "models": models, "chains": chains, "tenants": tenants}


PROVIDER = {
    "wire": st.sampled_from(["openai", "litellm", "demo"]),
    "base_url": addresses,
    "api_key_env": st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True),
    "needs_key": st.booleans(),
    "is_active": st.booleans(),
}
MODEL = {
    "input_price_per_mtok": prices,
    "output_price_per_mtok": prices,
    "context_window": counts,
    "max_output_tokens": counts,
    "is_active": st.booleans(),
}
LINK = {
    "connect_timeout_s": seconds,
    "first_token_timeout_s": seconds,
    "stall_timeout_s": seconds,
    "retry_after_max_s": seconds,
}
CHAIN = {
    "public": st.booleans(),
    "cache_ttl_s": st.integers(0, 10**6),
    "cache_streams": st.booleans(),
    "stream_guard": st.sampled_from(["live", "buffered"]),
    "default_max_tokens": st.integers(1, 10**6),
    "clamp_max_tokens": st.booleans(),
    "deadline_s": seconds,
    "fall_back_on_client_errors": st.booleans(),
    "fall_back_on_content_policy": st.booleans(),
    "is_active": st.booleans(),
}
TENANT = {
    "time_zone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
    "monthly_token_budget": counts,
    "budget_mode": st.sampled_from(["hard", "soft"]),
    "requests_per_minute": counts,
    "store_bodies_days": st.integers(0, 365),
    "keep_comparisons_days": st.integers(0, 365),
    "webhook_url": st.sampled_from(["", "https://example.com/hook?team=a"]),
    "is_active": st.booleans(),
}
USER = {
    "role": st.sampled_from(["member", "tenant_admin"]),
    "monthly_token_budget": counts,
    "requests_per_minute": counts,
    "is_active": st.booleans(),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configurations())
def test_every_configuration_comes_back_as_it_was(configuration: dict[str, Any]):
    with transaction.atomic():
        apply(yaml.safe_dump(configuration, allow_unicode=True))
        exported = export()
        assert apply(exported, "--prune") == []

        empty_the_database()
        apply(exported)
        assert export() == exported
        assert apply(yaml.safe_dump(configuration, allow_unicode=True), "--prune") == []
        transaction.set_rollback(True)

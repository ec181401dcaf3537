"""The form of an API key knows the names of chains and models, which its own app does not."""

import pytest
from django.test import Client

from accounts.models import APIKey
from accounts.tests.admin_pages import make_operator, page, signed_in, text_of
from conftest import Cast, Catalogue
from proxy.models import ModelChain, Provider


@pytest.fixture
def operator(cast: Cast, catalogue: Catalogue) -> Client:
    catalogue.chain("for-all", catalogue.model("fake/one"))
    catalogue.chain("for-globex").tenants.add(cast.globex)
    catalogue.chain("sleeping", is_active=False)
    return signed_in(make_operator())


def issue(client: Client, cast: Cast, *names: str) -> str:
    data = {"name": "limited", "comparing": "allowed", "user": str(cast.alice.user.pk), "allowed_models": list(names)}
    return text_of(client.post(page(APIKey, "add"), data, follow=True))


def test_an_operator_is_offered_every_active_name(operator):
    text = text_of(operator.get(page(APIKey, "add")))
    assert 'value="for-all"' in text
    assert 'value="fake/one"' in text
    assert 'value="for-globex"' in text
    assert "sleeping" not in text


def test_a_tenant_administrator_is_offered_what_the_tenant_may_use(operator, cast: Cast):
    text = text_of(signed_in(cast.bob.user).get(page(APIKey, "add")))
    assert 'value="for-all"' in text
    assert "for-globex" not in text


def test_a_key_is_limited_to_the_chosen_names(operator, cast: Cast):
    text = issue(operator, cast, "for-all", "fake/one")
    assert APIKey.objects.get(name="limited").allowed_models == ["for-all", "fake/one"]
    assert "&quot;model&quot;: &quot;for-all&quot;" in text, "the snippet calls what the key may call"


def test_a_name_that_the_users_tenant_may_not_use_is_refused(operator, cast: Cast):
    assert "may not use for-globex" in issue(operator, cast, "for-globex")
    assert not APIKey.objects.filter(name="limited").exists()


def test_an_unknown_name_is_refused(operator, cast: Cast):
    assert "Select a valid choice" in issue(operator, cast, "no/such-model")


@pytest.mark.parametrize(("key_set", "first"), [(True, "default"), (False, "ready")])
def test_the_snippet_names_what_can_be_asked(
    key_set: bool, first: str, operator, cast: Cast, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SOME_API_KEY", "sk-1" if key_set else "")
    keyed = Provider.objects.create(name="keyed", kind="openai", api_key_env="SOME_API_KEY")
    catalogue.chain("default", catalogue.model("keyed/x", provider=keyed))
    ModelChain.objects.get(name="for-all").delete()
    catalogue.chain("ready", catalogue.demo("echo"))
    text = text_of(operator.get(page(APIKey, "change", cast.alice.key_row.pk)))
    assert f"&quot;model&quot;: &quot;{first}&quot;" in text

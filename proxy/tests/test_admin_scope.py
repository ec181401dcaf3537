"""Every page of the admin, opened by acme's administrator for what belongs to globex or to the operators."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model as Row
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import APIKey, Tenant, User
from accounts.tests.admin_pages import act, make_operator, page, signed_in, text_of
from conftest import Cast, Catalogue
from proxy.models import DeadLetter, Model, ModelChain, Provider, Usage
from proxy.tests.admin_rows import make_usage

MODELS: list[type[Row]] = [Tenant, User, APIKey, Provider, Model, ModelChain, Usage, DeadLetter]
OPERATORS_ONLY: list[type[Row]] = [Provider, Model, DeadLetter]


def pages_of_one_row() -> Iterator[Any]:
    """Whatever route has a row's key in its address: pages that come later are tested without being named here."""
    for model in MODELS:
        for pattern in admin.site.get_model_admin(model).get_urls():
            if pattern.name and pattern.pattern.converters:
                yield pytest.param(model, pattern.name, id=f"{model.__name__}-{pattern.name}")


@pytest.fixture
def administrator(cast: Cast) -> Client:
    return signed_in(cast.bob.user)


@pytest.fixture
def foreign(cast: Cast, catalogue: Catalogue) -> dict[type[Row], Row]:
    """A row of each model that acme's administrator must not see."""
    operator = make_operator()
    User.objects.filter(pk=operator.pk).update(tenant=cast.acme)
    model = catalogue.model("fake/globex-only")
    chain = catalogue.chain("globex-chain", model)
    chain.tenants.add(cast.globex)
    return {
        Tenant: cast.globex,
        User: cast.charlie.user,
        APIKey: cast.charlie.key_row,
        Provider: model.provider,
        Model: model,
        ModelChain: chain,
        Usage: make_usage(cast.charlie, "req_globex"),
        DeadLetter: DeadLetter.objects.create(stream_id="1-0", payload="{}", error="globex"),
    }


def is_refused(response: Any) -> bool:
    if response.status_code == 302:
        return bool(response["Location"] == "/admin/")  # Django's answer to a row that does not exist
    return response.status_code in {403, 404}


@pytest.mark.parametrize(("model", "name"), list(pages_of_one_row()))
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_page_of_a_foreign_row_opens(administrator, foreign, model, name, method):
    url = reverse(f"admin:{name}", args=[foreign[model].pk])
    response = getattr(administrator, method)(url, {"confirmed": "yes", "post": "yes", "hours": "0", "prompt": "hi"})
    assert is_refused(response)
    assert type(foreign[model]).objects.filter(pk=foreign[model].pk).exists()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("verb", ["view", "change", "delete"])
def test_no_permission_covers_a_foreign_row(cast: Cast, foreign, model, verb):
    """What Django asks where it meets a row by another way than its page, and Unfold with a key from the address."""
    request = RequestFactory().get("/")
    request.user = cast.bob.user
    may = getattr(admin.site.get_model_admin(model), f"has_{verb}_permission")
    for row in (foreign[model], str(foreign[model].pk), "no key at all"):
        assert not may(request, row)


@pytest.mark.parametrize("name", ["change", "delete", "history"])
def test_no_page_of_an_operator_opens_even_of_the_own_tenant(administrator, foreign, name):
    operator = User.objects.get(username="olga")
    assert is_refused(administrator.get(page(User, name, operator.pk)))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_list_shows_what_belongs_to_another_tenant(administrator, foreign, model):
    response = administrator.get(page(model, "changelist"))
    if model in OPERATORS_ONLY:
        assert response.status_code == 403
    else:
        assert response.status_code == 200
        assert not [word for word in ("globex", "charlie", "olga") if word in text_of(response)]


@pytest.mark.parametrize("model", [Tenant, Provider, Model, ModelChain, Usage, DeadLetter], ids=lambda m: m.__name__)
def test_what_is_not_a_tenants_own_cannot_be_added(administrator, model):
    assert administrator.get(page(model, "add")).status_code == 403


ACTIONS = [
    (Tenant, "switch_off"),
    (Tenant, "delete_selected"),
    (User, "switch_off"),
    (User, "delete_selected"),
    (APIKey, "revoke"),
    (APIKey, "rotate"),
    (APIKey, "delete_selected"),
    (Provider, "switch_off"),
    (Model, "delete_selected"),
    (ModelChain, "switch_off"),
    (ModelChain, "delete_selected"),
    (Usage, "delete_selected"),
    (DeadLetter, "try_again"),
]


@pytest.mark.parametrize(("model", "action"), ACTIONS, ids=lambda value: getattr(value, "__name__", value))
def test_no_action_reaches_a_forged_row(administrator, foreign, model, action):
    before = model.objects.filter(pk=foreign[model].pk).values().get()
    act(administrator, action, foreign[model], confirmed="yes", post="yes", hours="0")
    assert model.objects.filter(pk=foreign[model].pk).values().get() == before
    assert APIKey.objects.filter(user=foreign[User]).count() == 1


def choices(client: Client, model: str, field: str) -> Any:
    app, _, name = model.partition(".")
    return client.get("/admin/autocomplete/", {"app_label": app, "model_name": name, "field_name": field})


@pytest.mark.parametrize(
    ("model", "field", "offered"),
    [("accounts.apikey", "user", {"alice", "bob"}), ("accounts.user", "tenant", {"acme"})],
)
def test_choices_while_typing_are_the_own_tenants(administrator, foreign, model, field, offered):
    answer = choices(administrator, model, field)
    assert {choice["text"] for choice in answer.json()["results"]} == offered


@pytest.mark.parametrize(("model", "field"), [("proxy.chainlink", "model"), ("proxy.model", "provider")])
def test_choices_while_typing_tell_nothing_about_what_operators_look_after(administrator, foreign, model, field):
    assert choices(administrator, model, field).status_code == 403


@pytest.mark.parametrize("query", ["tenants=1", "tenants__id__exact=1", "links__model__name=x"])
def test_the_address_cannot_ask_whom_a_chain_is_offered_to(administrator, foreign, query):
    assert administrator.get(f"{page(ModelChain, 'changelist')}?{query}").status_code == 400


def test_chains_for_everybody_are_read_only(administrator, catalogue: Catalogue):
    chain = catalogue.chain("for-all", catalogue.model("fake/one"))
    text = text_of(administrator.get(page(ModelChain, "change", chain.pk)))
    assert "fake/one" in text
    assert 'name="_save"' not in text
    assert administrator.post(page(ModelChain, "change", chain.pk), {"name": "renamed"}).status_code == 403
    assert administrator.get(page(ModelChain, "try_it", chain.pk)).status_code == 403


def test_a_chain_for_the_own_tenant_names_no_other_tenant(administrator, cast: Cast, catalogue: Catalogue):
    chain = catalogue.chain("for-two", catalogue.model("fake/one"))
    chain.tenants.add(cast.acme, cast.globex)
    for url in (page(ModelChain, "changelist"), page(ModelChain, "change", chain.pk)):
        text = text_of(administrator.get(url))
        assert "for-two" in text
        assert "globex" not in text


def test_a_switched_off_chain_is_not_offered(administrator, catalogue: Catalogue):
    catalogue.chain("sleeping", is_active=False)
    assert "sleeping" not in text_of(administrator.get(page(ModelChain, "changelist")))


def test_explaining_a_foreign_request_tells_nothing(administrator, foreign):
    text = text_of(administrator.get("/admin/proxy/usage/explain/", {"request_id": "req_globex"}))
    assert "no record of this request that you may see" in text
    assert "charlie" not in text


@pytest.mark.parametrize("name", ["explain", "export"])
def test_pages_beside_the_lists_are_closed_to_others(cast: Cast, name):
    User.objects.filter(pk=cast.alice.user.pk).update(is_staff=True)
    cast.alice.user.refresh_from_db()
    assert signed_in(cast.alice.user).get(f"/admin/proxy/usage/{name}/").status_code == 302


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_an_operator_opens_every_list_and_every_row(foreign, model):
    client = signed_in(User.objects.get(username="olga"))
    assert client.get(page(model, "changelist")).status_code == 200
    assert client.get(page(model, "change", foreign[model].pk)).status_code == 200

"""GET /v1/models and /v1/models/{id}: what this caller may use, in OpenAI's shape."""

from typing import Any

import httpx
import pytest

from accounts.models import APIKey
from conftest import Cast, Catalogue, LiveGateway, Member
from proxy.models import Provider
from proxy.tests.wire import assert_refused


def listed(gateway: LiveGateway, member: Member, path: str = "/v1/models") -> list[dict[str, Any]]:
    response = httpx.get(gateway.url + path, headers=member.headers)
    assert response.status_code == 200
    body = response.json()
    assert body["object"] == "list"
    data: list[dict[str, Any]] = body["data"]
    return data


def names(gateway: LiveGateway, member: Member) -> list[str]:
    return [model["id"] for model in listed(gateway, member)]


def test_chains_come_first_and_the_default_chain_first_of_all(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    two, one = catalogue.model("fake/two"), catalogue.model("a/one")
    for name in ("zebra", "default", "apple"):
        catalogue.chain(name, one, two)
    assert names(gateway, cast.alice) == ["default", "apple", "zebra", "a/one", "fake/two"]
    assert listed(gateway, cast.alice, "/models") == listed(gateway, cast.alice)


def test_chains_and_models_have_openais_shape(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    one = catalogue.model("fake/one")
    catalogue.chain("chain", one, catalogue.demo("echo"))
    chain, demo, fake = listed(gateway, cast.alice)
    assert chain == {
        "id": "chain",
        "object": "model",
        "created": chain["created"],
        "owned_by": "gateway",
        "links": ["fake/one", "demo/echo"],
    }
    assert fake == {"id": "fake/one", "object": "model", "created": fake["created"], "owned_by": "fake"}
    assert (demo["id"], demo["owned_by"]) == ("demo/echo", "demo")
    assert all(isinstance(entry["created"], int) for entry in (chain, demo, fake))


@pytest.mark.parametrize("path", ["fake/one", "fake%2Fone", "org/model:free", "org%2Fmodel%3Afree", "default"])
def test_one_is_found_by_its_name_slashes_included(path: str, gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    one = catalogue.model("fake/one")
    catalogue.model("org/model:free")
    catalogue.chain("default", one)
    for models in ("/v1/models", "/models"):
        response = httpx.get(f"{gateway.url}{models}/{path}", headers=cast.alice.headers)
        assert response.json()["id"] == path.replace("%2F", "/").replace("%3A", ":")


def test_a_bare_upstream_name_finds_the_only_model_that_bears_it(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue
):
    catalogue.model("fake/one")
    for name in ("a/twin", "b/twin"):
        catalogue.model(name)
    found = httpx.get(f"{gateway.url}/v1/models/one", headers=cast.alice.headers)
    assert found.json()["id"] == "fake/one"
    twin = httpx.get(f"{gateway.url}/v1/models/twin", headers=cast.alice.headers)
    assert_refused(twin, 404, "invalid_request_error", "model_not_found", "model")


def test_only_ones_own_and_everybodys_are_listed(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    acmes, globexes = catalogue.model("fake/acmes"), catalogue.model("fake/globexes")
    acmes.tenants.add(cast.acme)
    globexes.tenants.add(cast.globex)
    catalogue.chain("acme-chain", acmes).tenants.add(cast.acme)
    catalogue.chain("everybodys", acmes)
    assert names(gateway, cast.alice) == ["acme-chain", "everybodys", "fake/acmes"]
    assert names(gateway, cast.charlie) == ["everybodys", "fake/globexes"]


def test_what_cannot_be_asked_is_not_offered(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    keyless = Provider.objects.create(name="keyless", kind="openai", api_key_env="NO_SUCH_VARIABLE")
    resting = Provider.objects.create(name="resting", kind="openai", needs_key=False, is_active=False)
    catalogue.model("keyless/x", provider=keyless)
    catalogue.model("resting/x", provider=resting)
    catalogue.model("fake/off", is_active=False)
    catalogue.model("fake/one")
    assert names(gateway, cast.alice) == ["fake/one"]


def test_an_allow_list_shortens_the_list(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    row, key = APIKey.issue(cast.alice.user, "narrow", allowed_models=["chain", "fake/two", "nowhere"])
    assert names(gateway, Member(cast.alice.user, key, row)) == ["chain", "fake/two"]


def test_nobody_sees_a_list_without_a_credential_where_anonymous_calls_are_off(gateway: LiveGateway, settings: Any):
    settings.GATEWAY_ANONYMOUS = False
    for path in ("/v1/models", "/models", "/v1/models/default"):
        assert_refused(httpx.get(gateway.url + path), 401, "authentication_error", "invalid_api_key")

"""What an administrator changes takes effect on the very next request, in every process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import APIKey, ConfigurationVersion
from accounts.models.api_key import digest, generate_key
from accounts.redis import CONFIGURATION_VERSION, sync_client
from accounts.tokens import RefreshToken
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.models import ChainLink, Model, ModelChain, Provider
from proxy.tests.fake_provider import FakeProvider, text
from proxy.tests.processes import WebProcess, same_services

MESSAGES = [{"role": "user", "content": "Hi"}]


def ask(url: str, key: str, model: str = "chain") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", "Cache-Control": "no-store"}
    body = {"model": model, "messages": MESSAGES}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def served_by(url: str, key: str, model: str = "chain") -> str:
    return ask(url, key, model).headers["x-gateway-model"]


def listed(url: str, key: str) -> list[str]:
    answer = httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})
    return [model["id"] for model in answer.json().get("data", [])]


@pytest.fixture
def chain(catalogue: Catalogue, provider: FakeProvider) -> ModelChain:
    """`chain`: fake/one, then fake/two, both of which answer."""
    for name in ("one", "two"):
        provider.on(name, text(name))
    return catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))


REFUSALS: dict[str, tuple[Callable[[Cast], object], int]] = {
    "the key is revoked": (lambda cast: cast.alice.key_row.revoke(), 401),
    "the key is deleted": (lambda cast: cast.alice.key_row.delete(), 401),
    "the key expires": (
        lambda cast: APIKey.objects.filter(pk=cast.alice.key_row.pk).update(expires_at=timezone.now()),
        401,
    ),
    "the user is deactivated": (lambda cast: _save(cast.alice.user, is_active=False), 401),
    "the user is deleted": (lambda cast: cast.alice.user.delete(), 401),
    "the tenant is deactivated": (lambda cast: _save(cast.acme, is_active=False), 401),
    "the key may use other models only": (lambda cast: _save(cast.alice.key_row, allowed_models=["other"]), 403),
    "the key is for another network": (lambda cast: _save(cast.alice.key_row, allowed_networks=["192.0.2.0/24"]), 403),
    "the chain is another tenant's": (lambda cast: ModelChain.objects.get().tenants.add(cast.globex), 404),
    "the chain is switched off": (lambda cast: _save(ModelChain.objects.get(), is_active=False), 404),
    "the chain is deleted": (lambda cast: ModelChain.objects.get().delete(), 404),
    "the chain is renamed": (lambda cast: ModelChain.objects.update(name="renamed"), 404),
    "the chain is emptied": (lambda cast: ChainLink.objects.all().delete(), 503),
    "all models are switched off": (lambda cast: Model.objects.update(is_active=False), 503),
    "the provider is switched off": (lambda cast: Provider.objects.update(is_active=False), 503),
}


def _save(row: object, **fields: object) -> None:
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize("change, status", REFUSALS.values(), ids=REFUSALS.keys())
def test_the_next_request_is_refused_when(
    change: Callable[[Cast], object], status: int, gateway: LiveGateway, cast: Cast
):
    assert ask(gateway.url, cast.alice.key).status_code == 200
    change(cast)
    assert ask(gateway.url, cast.alice.key).status_code == status


@pytest.mark.usefixtures("chain")
def test_a_token_ends_with_its_user(gateway: LiveGateway, cast: Cast):
    token = str(RefreshToken.for_user(cast.alice.user).access_token)
    assert ask(gateway.url, token).status_code == 200
    _save(cast.alice.user, is_active=False)
    assert ask(gateway.url, token).status_code == 401


@pytest.mark.usefixtures("chain")
def test_routes_that_never_admit_see_the_change_too(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    assert "fake/new" not in listed(gateway.url, cast.alice.key)
    catalogue.model("fake/new")
    assert "fake/new" in listed(gateway.url, cast.alice.key)
    cast.alice.key_row.revoke()
    assert listed(gateway.url, cast.alice.key) == []


@pytest.mark.usefixtures("chain")
def test_what_was_taken_away_can_be_given_back(gateway: LiveGateway, cast: Cast):
    for is_active in (True, False, True):
        _save(cast.acme, is_active=is_active)
        assert ask(gateway.url, cast.alice.key).status_code == (200 if is_active else 401)


def test_a_key_issued_a_moment_ago_works_even_after_it_was_tried(gateway: LiveGateway, cast: Cast, chain: ModelChain):
    key = generate_key()
    for _ in range(2):
        assert ask(gateway.url, key).status_code == 401
    APIKey.objects.create(user=cast.alice.user, name="new", digest=digest(key), prefix=key[:12], last_four=key[-4:])
    assert ask(gateway.url, key).status_code == 200


def test_a_model_made_a_moment_ago_is_found_even_after_it_was_asked_for(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    assert ask(gateway.url, cast.alice.key, "fake/new").status_code == 404
    catalogue.model("fake/new")
    provider.on("new", text())
    assert ask(gateway.url, cast.alice.key, "fake/new").status_code == 200


@pytest.mark.usefixtures("gateway")
def test_an_edited_chain_is_walked_as_it_is_now(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, chain: ModelChain
):
    assert served_by(gateway.url, cast.alice.key) == "fake/one"
    first, second = chain.links.all()
    _save(first, position=2)
    assert served_by(gateway.url, cast.alice.key) == "fake/two"
    second.delete()
    assert served_by(gateway.url, cast.alice.key) == "fake/one"
    _save(first, model=catalogue.demo("echo"))
    assert served_by(gateway.url, cast.alice.key) == "demo/echo"
    chain.links.all().delete()
    ChainLink.objects.bulk_create([ChainLink(chain=chain, model=Model.objects.get(name="fake/two"))])
    assert served_by(gateway.url, cast.alice.key) == "fake/two"


@pytest.mark.usefixtures("chain")
def test_a_changed_provider_is_called_as_it_is_now(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    def key_that_arrives() -> str | None:
        ask(gateway.url, cast.alice.key)
        return provider.received[-1].headers.get("Authorization")

    row = Provider.objects.get(name="fake")
    assert key_that_arrives() is None
    for key in ("sk-first", "sk-second"):
        row.set_api_key(key)
        row.save()
        assert key_that_arrives() == f"Bearer {key}"
    _save(row, base_url=provider.base_url.removesuffix("/v1") + "/v2")
    key_that_arrives()
    assert provider.received[-1].path == "/v2/chat/completions"


@pytest.mark.usefixtures("chain")
def test_a_change_that_nobody_published_is_seen_within_seconds(gateway: LiveGateway, cast: Cast):
    """As the commands of an embedded gateway make it: they share the database with the server, but not its Redis."""
    assert served_by(gateway.url, cast.alice.key) == "fake/one"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proxy_chainlink SET position = 9 WHERE position = 0")
        cursor.execute("UPDATE accounts_configurationversion SET version = version + 1")
    wait_until(lambda: served_by(gateway.url, cast.alice.key) == "fake/two", "the change to be seen", patience_s=3)


@pytest.fixture
def two_processes(transactional_db: None, tmp_path: Path) -> Iterator[list[str]]:
    """The URLs of two web servers on the test's database and Redis."""
    first, second = (WebProcess(tmp_path, same_services()) for _ in range(2))
    with first, second:
        yield [first.url, second.url]


@pytest.mark.services
def test_two_web_processes_follow_each_change_on_the_next_request(
    two_processes: list[str], cast: Cast, catalogue: Catalogue, chain: ModelChain
):
    def seen() -> list[str]:
        return [served_by(url, cast.alice.key) for url in two_processes]

    assert seen() == ["fake/one"] * 2
    first = chain.links.get(position=0)
    _save(first, position=9)
    assert seen() == ["fake/two"] * 2
    catalogue.chain("new", catalogue.demo("echo"))
    assert [served_by(url, cast.alice.key, "new") for url in two_processes] == ["demo/echo"] * 2
    cast.alice.key_row.revoke()
    assert [ask(url, cast.alice.key).status_code for url in two_processes] == [401] * 2


@pytest.mark.services
def test_all_workers_of_one_server_follow_each_change(
    transactional_db: None, tmp_path: Path, cast: Cast, chain: ModelChain
):
    with WebProcess(tmp_path, same_services(), "--workers", "2") as server:
        links = list(chain.links.all())
        for turn in range(1, 11):
            _save(links[turn % 2], position=turn)
            seen = {served_by(server.url, cast.alice.key) for _ in range(6)}
            assert seen == {links[(turn + 1) % 2].model.name}
        cast.alice.key_row.revoke()
        assert {ask(server.url, cast.alice.key).status_code for _ in range(20)} == {401}


@pytest.mark.usefixtures("chain")
def test_a_database_restored_from_a_backup_catches_up_with_what_was_published(gateway: LiveGateway, cast: Cast):
    ahead = ConfigurationVersion.current() + 1000
    sync_client().set(CONFIGURATION_VERSION, ahead)
    assert ask(gateway.url, cast.alice.key).status_code == 200
    assert ConfigurationVersion.current() == ahead

"""What callers see while Redis does not answer."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from accounts.models import User
from accounts.tests.ledgers import take_redis_away
from conftest import Cast, Catalogue, LiveGateway
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, text
from proxy.tests.wire import assert_refused

BODY = {"model": "chain", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def redis_down(monkeypatch: pytest.MonkeyPatch, gateway: LiveGateway, cast: Cast) -> Iterator[Callable[[], None]]:
    """Lets every command fail from now on; call it to let Redis come back."""
    ask(gateway, cast.alice.headers)  # the key is known, the catalogue loaded
    with monkeypatch.context() as patch:
        take_redis_away(patch)
        yield patch.undo


def ask(gateway: LiveGateway, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY, headers=headers, timeout=20)


@pytest.fixture(autouse=True)
def _public_chain(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.chain("chain", catalogue.model("fake/one"), public=True, cache_ttl_s=0)
    provider.on("one", text("Hello"))


@pytest.mark.usefixtures("redis_down")
def test_requests_are_refused_by_default(gateway: LiveGateway, cast: Cast):
    refused = ask(gateway, cast.alice.headers)
    assert_refused(refused, 503, "gateway_error", "ledger_unavailable")
    assert int(refused.headers["retry-after"]) >= 1


def test_they_pass_where_the_operator_chose_so_and_are_recorded_afterwards(
    gateway: LiveGateway,
    cast: Cast,
    settings,
    redis_down: Callable[[], None],
    recorded: Callable[..., list[Usage]],
):
    settings.GATEWAY_LEDGER_DOWN = "open"
    passed = ask(gateway, cast.alice.headers)
    assert passed.status_code == 200
    redis_down()
    assert passed.headers["x-request-id"] in {row.request_id for row in recorded(2)}


@pytest.mark.usefixtures("redis_down")
def test_each_process_then_lets_its_share_of_the_rate_limits_pass(gateway: LiveGateway, cast: Cast, settings):
    settings.GATEWAY_LEDGER_DOWN, settings.GATEWAY_WORKERS = "open", 2
    User.objects.filter(pk=cast.charlie.user.pk).update(requests_per_minute=6)
    codes = [ask(gateway, cast.charlie.headers).status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]


@pytest.mark.usefixtures("redis_down")
def test_anonymous_callers_never_pass(gateway: LiveGateway, settings):
    settings.GATEWAY_LEDGER_DOWN = "open"
    assert_refused(ask(gateway, {}), 503, "gateway_error", "ledger_unavailable")


@pytest.mark.usefixtures("redis_down")
def test_the_gateway_is_alive_but_not_ready(gateway: LiveGateway):
    assert httpx.get(f"{gateway.url}/health").status_code == 200
    ready = httpx.get(f"{gateway.url}/health/ready")
    assert (ready.status_code, ready.json()["checks"]["redis"]) == (503, "unavailable")

"""Postgres away in every way there is: who is known goes on for a minute, nobody is called wrong, nothing is lost."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from accounts.callers import user_budget
from accounts.ledger import keys
from accounts.models.api_key import generate_key
from accounts.redis import sync_client
from accounts.sql import TIMEOUT_S
from accounts.tests.ledgers import counted
from accounts.tokens import RefreshToken
from conftest import Cast, Catalogue, wait_until
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, text
from proxy.tests.forwarder import Forwarder, forwarder_to, through
from proxy.tests.processes import WebProcess, same_services
from proxy.tests.wire import assert_refused

pytestmark = pytest.mark.services

QUICK_S = 1.5
HUNG_S = 7.0  # the first caller finds out, which takes five seconds
BACK_S = 20.0
Trouble = Callable[[Forwarder], None]
TROUBLES: dict[str, Trouble] = {
    "refuses": Forwarder.refuse,
    "hangs": Forwarder.hang,
    "is stopped": Forwarder.freeze,
    "is in a black hole": Forwarder.black_hole,
}
in_every_way = pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())


@pytest.fixture
def postgres() -> Iterator[Forwarder]:
    with forwarder_to(settings.DATABASE_URL, 5432) as forwarder:
        yield forwarder


@pytest.fixture
def environment(transactional_db: None, postgres: Forwarder) -> dict[str, str]:
    ours = same_services()
    return {**ours, "DATABASE_URL": through(ours["DATABASE_URL"], postgres)}


@pytest.fixture(autouse=True)
def _chains(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.chain("public", catalogue.model("fake/one", max_output_tokens=100), public=True, cache_ttl_s=0)
    provider.on("one", text("Hello"))  # 10 tokens


def ask(server: WebProcess, key: str = "", **fields: Any) -> httpx.Response:
    body = {"model": "public", "messages": [{"role": "user", "content": "Hi"}], **fields}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def answers(server: WebProcess, key: str) -> bool:
    return ask(server, key).status_code == 200


def assert_unavailable(response: httpx.Response) -> None:
    assert_refused(response, 503, "gateway_error", "ledger_unavailable")
    assert int(response.headers["retry-after"]) >= 1


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def readiness(server: WebProcess) -> tuple[int, dict[str, str]]:
    response = httpx.get(f"{server.url}/health/ready", timeout=20)
    return response.status_code, response.json()["checks"]


@in_every_way
def test_known_callers_go_on_and_unknown_ones_are_asked_to_come_again(
    trouble: Trouble,
    postgres: Forwarder,
    environment: dict[str, str],
    cast: Cast,
    tmp_path: Path,
    recorded: Callable[[int], list[Usage]],
):
    cast.alice.user.monthly_token_budget = 1000
    cast.alice.user.save()
    with WebProcess(tmp_path, environment) as server:
        assert answers(server, cast.alice.key)
        assert answers(server, "")
        trouble(postgres)
        assert seconds(lambda: assert_unavailable(ask(server, cast.bob.key))) < HUNG_S
        for _ in range(3):
            assert seconds(lambda: ask(server, cast.alice.key).raise_for_status()) < QUICK_S
            assert seconds(lambda: ask(server).raise_for_status()) < QUICK_S, "anonymous callers need no database"
        assert_unavailable(ask(server, generate_key()))
        assert ask(server, "gw_live_garbage").status_code == 401
        refused = ask(server, cast.alice.key, max_tokens=2000)
        assert_refused(refused, 429, "insufficient_quota", "insufficient_quota")
        listed = httpx.get(f"{server.url}/v1/models", headers=cast.alice.headers, timeout=20)
        assert [entry["id"] for entry in listed.json()["data"]] == ["public", "fake/one"]
        assert readiness(server) == (503, {"database": "unavailable", "redis": "ok", "catalogue": "ok"})
        assert httpx.get(f"{server.url}/health").status_code == 200
        wait_until(lambda: sync_client().xlen(keys.USAGE_STREAM) == 8, "eight events to wait in the stream")
        postgres.forward()
        wait_until(lambda: answers(server, cast.bob.key), "Postgres to be found again", BACK_S)
        assert ask(server, generate_key()).status_code == 401
        wait_until(lambda: readiness(server)[0] == 200, "the server to be ready again", BACK_S)
        assert {row.total_tokens for row in recorded(9)} == {10}
        month = Usage.objects.earliest("pk").month
        assert counted(user_budget(cast.alice.user).counter(month)) == (40, 0)
    assert "Traceback" not in server.output


@in_every_way
def test_after_a_minute_known_callers_are_asked_to_come_again(
    trouble: Trouble, postgres: Forwarder, environment: dict[str, str], cast: Cast, tmp_path: Path
):
    """A minute of two seconds. What was revoked meanwhile stays revoked, and everybody else comes back by itself."""
    jwt = str(RefreshToken.for_user(cast.alice.user).access_token)
    with WebProcess(tmp_path, {**environment, "GATEWAY_KNOWN_KEYS_S": "2"}) as server:
        for credential in (cast.alice.key, cast.bob.key, jwt):
            assert answers(server, credential)
        trouble(postgres)
        wait_until(lambda: not answers(server, cast.alice.key), "the verdict to be too old", BACK_S)
        for credential in (cast.alice.key, cast.bob.key, jwt):
            assert_unavailable(ask(server, credential))
        assert answers(server, ""), "anonymous callers need no database"
        cast.bob.key_row.revoke()
        postgres.forward()
        wait_until(lambda: answers(server, cast.alice.key) and answers(server, jwt), "Postgres to be back", BACK_S)
        assert ask(server, cast.bob.key).status_code == 401
    assert "Traceback" not in server.output


@pytest.mark.parametrize("trouble", [Forwarder.refuse, Forwarder.hang], ids=["refuses", "hangs"])
def test_a_server_starts_without_postgres(
    trouble: Trouble, postgres: Forwarder, environment: dict[str, str], cast: Cast, tmp_path: Path
):
    trouble(postgres)
    with WebProcess(tmp_path, environment) as server:
        assert_unavailable(ask(server, cast.alice.key))
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert readiness(server) == (503, {"database": "unavailable", "redis": "ok", "catalogue": "not loaded"})
        postgres.forward()
        wait_until(lambda: answers(server, cast.alice.key), "Postgres to be found", BACK_S)
        wait_until(lambda: readiness(server)[0] == 200, "the server to be ready", BACK_S)
    assert "Traceback" not in server.output


def test_while_postgres_hangs_only_one_caller_waits(
    postgres: Forwarder, environment: dict[str, str], cast: Cast, tmp_path: Path
):
    with WebProcess(tmp_path, environment) as server:
        assert answers(server, cast.alice.key)
        postgres.freeze()
        assert_unavailable(ask(server, generate_key()))
        wait = partial(seconds, lambda: assert_unavailable(ask(server, generate_key())))
        with ThreadPoolExecutor(20) as callers:
            waits = list(callers.map(lambda _: wait(), range(20)))
        assert sum(wait > TIMEOUT_S - 1 for wait in waits) <= 2, "whoever finds out whether it is back; nobody else"

"""Redis away, or mute: quick and honest answers, and recovery without a restart."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from conftest import Cast, Catalogue, wait_until
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, text
from proxy.tests.forwarder import Forwarder, forwarder_to, through
from proxy.tests.processes import WebProcess, same_services
from proxy.tests.wire import assert_refused

pytestmark = pytest.mark.services

QUICK_S = 1.5


@pytest.fixture
def redis() -> Iterator[Forwarder]:
    with forwarder_to(settings.REDIS_URL, 6379) as forwarder:
        yield forwarder


@pytest.fixture
def environment(transactional_db: None, redis: Forwarder) -> dict[str, str]:
    ours = same_services()
    return {**ours, "REDIS_URL": through(ours["REDIS_URL"], redis)}


@pytest.fixture(autouse=True)
def _one_model(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.model("fake/one")
    provider.on("one", text("Hello"))


def ask(server: WebProcess, key: str, *, cache: bool = False) -> httpx.Response:
    body = {"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {key}"} | ({} if cache else {"Cache-Control": "no-store"})
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def answers(server: WebProcess, key: str) -> bool:
    return ask(server, key).status_code == 200


def assert_unavailable(response: httpx.Response) -> None:
    assert_refused(response, 503, "gateway_error", "ledger_unavailable")
    assert int(response.headers["retry-after"]) >= 1


def readiness(server: WebProcess) -> tuple[int, dict[str, str]]:
    response = httpx.get(f"{server.url}/health/ready", timeout=20)
    return response.status_code, response.json()["checks"]


TROUBLES: dict[str, Callable[[Forwarder], None]] = {"refuses": Forwarder.refuse, "is mute": Forwarder.hang}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_while_redis(
    trouble: Callable[[Forwarder], None],
    redis: Forwarder, environment: dict[str, str], cast: Cast, tmp_path: Path, recorded: Callable[[int], list[Usage]],
):  # fmt: skip
    """Requests are refused within moments, the process stays alive but unready, and then everything works again."""
    with WebProcess(tmp_path, environment) as server:
        assert answers(server, cast.alice.key)
        trouble(redis)
        for _ in range(3):
            began = time.monotonic()
            assert_unavailable(ask(server, cast.alice.key))
            assert time.monotonic() - began < QUICK_S
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert readiness(server) == (503, {"database": "ok", "redis": "unavailable", "catalogue": "ok"})
        redis.forward()
        wait_until(lambda: answers(server, cast.alice.key), "Redis to be found again")
        assert readiness(server)[0] == 200
        assert {row.status for row in recorded(2)} == {"ok"}
    assert "Traceback" not in server.output


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_while_redis_where_calls_may_pass(
    trouble: Callable[[Forwarder], None],
    redis: Forwarder, environment: dict[str, str], cast: Cast, tmp_path: Path, recorded: Callable[[int], list[Usage]],
):  # fmt: skip
    """They pass, uncached; what they used waits on disk, and is recorded although the process was killed meanwhile."""
    environment |= {"GATEWAY_LEDGER_DOWN": "open", "GATEWAY_DATA_DIR": str(tmp_path)}
    with WebProcess(tmp_path, environment) as server:
        assert answers(server, cast.alice.key)
        trouble(redis)
        passed = [ask(server, cast.alice.key, cache=True) for _ in range(3)]
        assert [(answer.status_code, answer.headers["x-gateway-cache"]) for answer in passed] == [(200, "miss")] * 3
        ids = {answer.headers["x-request-id"] for answer in passed}
        wait_until(lambda: ids <= spooled(tmp_path), "what waits to be on disk")
        server.kill()
    redis.forward()
    with WebProcess(tmp_path, environment):
        rows = {row.request_id for row in recorded(4)}
        assert ids < rows
        wait_until(lambda: not spooled(tmp_path), "the spool to be gone")


def spooled(folder: Path) -> set[str]:
    lines = (line for path in (folder / "spool").glob("*.jsonl") for line in path.read_bytes().splitlines())
    return {json.loads(line)["request_id"] for line in lines}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_a_server_starts_while_redis(
    trouble: Callable[[Forwarder], None], redis: Forwarder, environment: dict[str, str], cast: Cast, tmp_path: Path
):
    trouble(redis)
    with WebProcess(tmp_path, environment) as server:
        assert_unavailable(ask(server, cast.alice.key))
        redis.forward()
        wait_until(lambda: answers(server, cast.alice.key), "Redis to be found")
    assert "Traceback" not in server.output

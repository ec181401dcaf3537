"""A comparison whose record Redis lost."""

from collections.abc import Callable
from typing import Any

import httpx

from accounts.redis import sync_client
from conftest import Catalogue


def test_what_redis_loses_before_it_is_written_is_recorded_all_the_same(
    catalogue: Catalogue, compare: Callable[..., httpx.Response], ended: Callable[[str], dict[str, Any]]
):
    for name in ("echo", "down"):
        catalogue.demo(name)
    answer = compare("demo/echo", "demo/down").json()
    sync_client().flushdb()
    stored = ended(answer["id"])
    assert stored["status"] == "partial"
    assert [slot["status"] for slot in stored["answers"]] == ["ok", "error"]

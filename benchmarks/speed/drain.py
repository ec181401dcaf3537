"""How many usage events a second the drain turns into rows, on one core of its own.

    DATABASE_URL=… REDIS_URL=… python -m benchmarks.speed.drain [--rows 50000] [--keys 200]

Works in a test database that it makes and drops, and refuses a Redis whose stream is in use. Prints one line of JSON.
"""

import argparse
import json
import os
import secrets
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from benchmarks.speed.stage import Stage

APPEND_AT_ONCE = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--keys", type=int, default=200, help="how many API keys the requests came with")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    os.environ.setdefault("SECRET_KEY", "only-for-this-benchmark")
    django.setup()
    print(json.dumps(measure(arguments.rows, arguments.keys)))


def measure_drain(stage: "Stage") -> dict[str, float]:
    """The same in a process of its own, on the stage's Postgres, and in its Redis beside what its worker drains."""
    beside = stage.redis.url.removesuffix("/0") + "/1"
    measured = json.loads(stage.run([sys.executable, "-m", "benchmarks.speed.drain"], REDIS_URL=beside))
    return {**measured, "cpu_us": measured["cpu_us_per_row"]}


def measure(rows: int, keys: int) -> dict[str, float]:
    """{rows, seconds, rows_per_s, cpu_us_per_row}: `cpu` is this process's, without Postgres's and Redis's."""
    from django.db import connection  # noqa: PLC0415 - models load after django.setup()

    from accounts.models import APIKey, Tenant, User  # noqa: PLC0415
    from proxy.models import Usage  # noqa: PLC0415
    from proxy.usage.drain import drain, lag  # noqa: PLC0415

    if lag():
        sys.exit("The usage stream of this Redis is in use: give the benchmark a REDIS_URL of its own.")
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        user = User.objects.create_user("alice", tenant=Tenant.objects.create(name="acme"))
        key_ids = [str(APIKey.issue(user, f"key {number}")[0].pk) for number in range(keys)]
        append(rows, key_ids)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        began, cpu = time.perf_counter(), time.process_time()
        while drain():
            pass
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert Usage.objects.count() == rows, "every event is a row"
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "cpu_us_per_row": round(cpu / rows * 1e6, 1),
    }


def append(rows: int, key_ids: list[str]) -> None:
    from accounts.ledger.keys import USAGE_STREAM  # noqa: PLC0415
    from accounts.redis import sync_client  # noqa: PLC0415

    for start in range(0, rows, APPEND_AT_ONCE):
        with sync_client().pipeline(transaction=False) as pipeline:
            for number in range(start, min(start + APPEND_AT_ONCE, rows)):
                pipeline.xadd(USAGE_STREAM, {"event": json.dumps(event(key_ids[number % len(key_ids)]))})
            pipeline.execute()


def event(key_id: str) -> dict[str, object]:
    """A request that fell back once."""
    return {
        "request_id": f"req_{uuid.uuid4().hex}",
        "created_at": datetime.now(UTC).isoformat(),
        "month": "2026-11",
        "tenant_id": 1,
        "tenant_name": "acme",
        "user_id": 1,
        "username": "alice",
        "key_id": key_id,
        "key_name": "billing service",
        "endpoint": "chat",
        "chain": "default",
        "requested_model": "default",
        "served_model": "anthropic/claude-haiku",
        "provider": "anthropic",
        "status": "ok",
        "error_code": "",
        "prompt_tokens": secrets.randbelow(4000),
        "completion_tokens": secrets.randbelow(1000),
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "quality": "reported",
        "cost_microusd": secrets.randbelow(10_000),
        "input_price_per_mtok": "1.000000",
        "output_price_per_mtok": "5.000000",
        "latency_ms": 1240,
        "first_token_ms": 310,
        "streamed": True,
        "attempts": [
            {"model": "openai/gpt-4o-mini", "provider": "openai", "status": 503, "code": "server_error", "ms": 12},
            {"model": "anthropic/claude-haiku", "provider": "anthropic", "status": 200, "code": None, "ms": 1228},
        ],
        "tags": ["nightly"],
    }


if __name__ == "__main__":
    main()

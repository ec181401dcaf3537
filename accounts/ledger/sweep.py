"""Settling what dead processes left behind."""

from typing import Any, cast

import orjson

from accounts.ledger import keys
from accounts.redis import run_script, sync_client

DEAD_AFTER_S = 20
SETTLED_KEPT_S = 15 * 60


def sweep() -> int:
    """Turn the reservations of processes without a heartbeat into usage events with status `crashed`; returns how many.

    A reservation has no lifetime of its own: a slow stream of a live process is never swept.
    """
    redis = sync_client()
    seconds, _ = redis.time()
    redis.zremrangebyscore(keys.SETTLED, 0, (seconds - SETTLED_KEPT_S) * 1000)
    dead = cast(list[bytes], redis.zrangebyscore(keys.PROCESSES, 0, seconds - DEAD_AFTER_S))
    return sum(_sweep_process(name.decode()) for name in dead)


def _sweep_process(process: str) -> int:
    redis = sync_client()
    request_ids = cast(set[bytes], redis.smembers(keys.reservations_of(process)))
    for request_id in map(bytes.decode, request_ids):
        reservation = cast(dict[bytes, bytes], redis.hgetall(keys.reservation(request_id)))
        if reservation:
            _settle(process, request_id, reservation)
        else:
            redis.srem(keys.reservations_of(process), request_id)
    redis.zrem(keys.PROCESSES, process)
    return len(request_ids)


def _settle(process: str, request_id: str, reservation: dict[bytes, bytes]) -> None:
    event = _crashed(reservation)
    tokens = event.get("prompt_tokens", 0) + event["completion_tokens"]
    counters = reservation.get(b"budgets", b"").decode().split()
    names = keys.settle_keys(request_id, process, "", counters)
    run_script(keys.SETTLE, names, [request_id, orjson.dumps(event), tokens, 0, b""])


def _crashed(reservation: dict[bytes, bytes]) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads(reservation[b"record"])
    delivered = int(reservation.get(b"completion_tokens", 0))
    return {**record, "status": "crashed", "error_code": "process_died", "completion_tokens": delivered}

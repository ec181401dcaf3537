"""Settling what dead processes left behind."""

from typing import Any, cast

import orjson

from accounts.ledger import epoch, keys
from accounts.ledger.calls import operands_of_settling
from accounts.redis import run_script, sync_client

DEAD_AFTER_S = 20
SETTLED_KEPT_S = 15 * 60


def sweep() -> int:
    """Turn the reservations of processes without a heartbeat into usage events with status `crashed`; returns how many.

    A reservation has no lifetime of its own: a slow stream of a live process is never swept. Nobody is taken for dead
    while the ledger is closed, or before everyone had the time for a heartbeat after it opened. Raises RedisError.
    """
    redis = sync_client()
    seconds, _ = redis.time()
    redis.zremrangebyscore(keys.SETTLED, 0, (seconds - SETTLED_KEPT_S) * 1000)
    _forget_swept()
    current = epoch.current()
    if not current or epoch.age_s() < DEAD_AFTER_S:
        return 0
    dead = cast(list[bytes], redis.zrangebyscore(keys.PROCESSES, 0, seconds - DEAD_AFTER_S))
    return sum(_sweep_process(name.decode(), current) for name in dead)


def _sweep_process(process: str, current: str) -> int:
    redis = sync_client()
    request_ids = cast(set[bytes], redis.smembers(keys.reservations_of(process)))
    for request_id in map(bytes.decode, request_ids):
        reservation = cast(dict[bytes, bytes], redis.hgetall(keys.reservation(request_id)))
        if reservation:
            _settle(process, request_id, reservation, current)
        else:
            redis.srem(keys.reservations_of(process), request_id)
    redis.zrem(keys.PROCESSES, process)
    return len(request_ids)


def _settle(process: str, request_id: str, reservation: dict[bytes, bytes], current: str) -> None:
    event = _crashed(reservation)
    tokens = event["prompt_tokens"] + event["completion_tokens"]
    counters, gates = (reservation.get(name, b"").decode().split() for name in (b"budgets", b"gates"))
    names, arguments = operands_of_settling(process, counters, gates, swept=True)
    names += [keys.reservation(request_id), ""]
    arguments += [current, request_id, orjson.dumps(event), tokens, 0, b""]
    run_script(keys.SETTLE, names, arguments)


def _crashed(reservation: dict[bytes, bytes]) -> dict[str, Any]:
    """Billed for the prompt and the last checkpoint; for nothing where its admission found an answer."""
    record: dict[str, Any] = orjson.loads(reservation[b"record"])
    prompt = record.get("prompt_tokens", 0) if reservation.get(b"begun") == b"1" else 0
    delivered = int(reservation.get(b"completion_tokens", 0))
    return {
        **record,
        "status": "crashed",
        "error_code": "process_died",
        "prompt_tokens": prompt,
        "completion_tokens": delivered,
    }


def _forget_swept() -> None:
    """Who was only taken for dead settles within seconds; what is older than the marks of settled requests may go."""
    redis = sync_client()
    for request_id in cast(dict[bytes, bytes], redis.hgetall(keys.SWEPT)):
        if redis.zscore(keys.SETTLED, request_id) is None:
            redis.hdel(keys.SWEPT, request_id)

"""The ledger's names in Redis, and its scripts."""

from collections.abc import Iterable
from pathlib import Path

from accounts.redis import Script, key

SCRIPTS = Path(__file__).parent / "scripts"
ADMIT = Script(SCRIPTS / "admit.lua")
SETTLE = Script(SCRIPTS / "settle.lua")

USAGE_STREAM = key("usage")
SETTLED = key("settled")
PROCESSES = key("processes")
BREAKERS = key("breakers")


def reservation(request_id: str) -> str:
    return key("reservation", request_id)


def reservations_of(process: str) -> str:
    return key("reservations", process)


def settle_keys(request_id: str, process: str, cached: str, counters: Iterable[str]) -> list[str]:
    return [reservation(request_id), reservations_of(process), SETTLED, USAGE_STREAM, cached, *counters]

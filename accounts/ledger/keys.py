"""The ledger's names in Redis, and its scripts."""

from pathlib import Path

from accounts.redis import EPOCH, Script, key

SCRIPTS = Path(__file__).parent / "scripts"
ADMIT = Script(SCRIPTS / "admit.lua")
SETTLE = Script(SCRIPTS / "settle.lua")
RELEASE = Script(SCRIPTS / "release.lua")
REGISTER = Script(SCRIPTS / "register.lua")
CHECKPOINT = Script(SCRIPTS / "checkpoint.lua")

USAGE_STREAM = key("usage")
DRAINED = key("drained")
SETTLED = key("settled")
SWEPT = key("swept")
PROCESSES = key("processes")
BREAKERS = key("breakers")
EXHAUSTED = key("exhausted")

__all__ = ["EPOCH"]


def reservation(request_id: str) -> str:
    return key("reservation", request_id)


def reservations_of(process: str) -> str:
    return key("reservations", process)

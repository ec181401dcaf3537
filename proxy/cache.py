"""The response cache: whole answers, kept for a chain's `cache_ttl_s`, found in the admission call.

An entry's name is a digest of the tenant, the chain as it is configured, and the caller's canonical body, whether it
asks for a stream or not: what is said is the same. An entry is

    a line of JSON with its name and the tenant: its seal
    a line of JSON with what it adds to the usage event of a request that it answers, and its time
    the answer

The seal is compared where the entry is found, and where it is read: a reply that got onto the wrong connection, or a
collision, can never show one tenant another's answer.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import orjson

from accounts.redis import key

HOW_TO_SEND = frozenset({"stream", "stream_options"})


@dataclass(slots=True)
class CachedAnswer:
    """An answer from the cache. `age_s`: how long ago it was given."""

    raw: bytes
    model: str
    provider: str
    age_s: int


def name_of(scope: str, fingerprint: str, body: dict[str, Any]) -> str:
    """The entry's name in Redis. `scope`: whose answers may be shared; `fingerprint`: the chain's configuration."""
    asked = {name: value for name, value in body.items() if name not in HOW_TO_SEND}
    canonical = orjson.dumps([scope, fingerprint, asked], option=orjson.OPT_SORT_KEYS)
    return key("cache", hashlib.sha256(canonical).hexdigest())


def seal_of(name: str, scope: str) -> bytes:
    """What the entry begins with."""
    return orjson.dumps([name, scope]) + b"\n"


def pack(name: str, scope: str, raw: bytes, model: str, provider: str) -> bytes:
    """The entry of an answer."""
    adds = {"served_model": model, "provider": provider, "answered_at": int(time.time())}
    return b"%b%b\n%b" % (seal_of(name, scope), orjson.dumps(adds), raw)


def unpack(entry: bytes, seal: bytes) -> CachedAnswer | None:
    """The answer; None where the entry is not the one that was asked for."""
    if not entry.startswith(seal):
        return None
    line, _, raw = entry[len(seal) :].partition(b"\n")
    adds = orjson.loads(line)
    return CachedAnswer(raw, adds["served_model"], adds["provider"], max(0, int(time.time()) - adds["answered_at"]))

"""The response cache: whole answers, kept for a chain's `cache_ttl_s`, found in the admission call.

An entry's name is a digest of the tenant, the chain as it is configured, and the caller's canonical body, whether it
asks for a stream or not: what is said is the same. The entry
repeats the tenant and the name, and both are checked on reading: a reply that got onto the wrong connection, or a
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


def pack(name: str, scope: str, raw: bytes, model: str, provider: str) -> bytes:
    """An entry: a line of JSON about the answer, then the answer's own bytes."""
    head = {"name": name, "scope": scope, "model": model, "provider": provider, "at": int(time.time())}
    return orjson.dumps(head) + b"\n" + raw


def unpack(entry: bytes, name: str, scope: str) -> CachedAnswer | None:
    """The answer; None where the entry is not the one that was asked for."""
    head_line, _, raw = entry.partition(b"\n")
    try:
        head = orjson.loads(head_line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(head, dict) or (head.get("name"), head.get("scope")) != (name, scope):
        return None
    return CachedAnswer(raw, head["model"], head["provider"], max(0, int(time.time()) - head["at"]))

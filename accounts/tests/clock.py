"""Redis's clock, as admission sees it: a test sets it, and moves it on."""

import hashlib
from datetime import datetime

import pytest

from accounts.ledger import keys
from accounts.redis import key, sync_client

NOW = key("test-clock")
REDIS_TIME = "redis.call('TIME')"


class RedisClock:
    """Stands at a moment until it is set to another one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert REDIS_TIME in keys.ADMIT.source
        now = f"(function() local us = redis.call('GET', '{NOW}') return {{math.floor(us / 1e6), us % 1e6}} end)()"
        source = keys.ADMIT.source.replace(REDIS_TIME, now)
        monkeypatch.setattr(keys.ADMIT, "source", source)
        monkeypatch.setattr(keys.ADMIT, "sha", hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

    def set(self, moment: datetime) -> None:
        self.set_us(round(moment.timestamp() * 1_000_000))

    def set_us(self, microseconds: int) -> None:
        """Microseconds since the epoch."""
        sync_client().set(NOW, microseconds)

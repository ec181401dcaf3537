"""Boards that were counted before, for scopes so large that nobody should wait for the counting.

Small ones are counted at every look, so that a vote shows at once. Of a large one the last count is shown, and counted
again behind it when it is older than a minute; the page says how old it is.
"""

import hashlib
import json
import logging
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db import DatabaseError
from django.utils import timezone
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from comparisons.leaderboard import board
from comparisons.leaderboard.board import Board
from comparisons.leaderboard.scope import Scope

logger = logging.getLogger(__name__)

# Comparisons that are counted while a page waits.
SMALL = 1000
FRESH = timedelta(minutes=1)
KEPT_S = 7 * 24 * 3600
# For so long one process counts, and others show what there is.
COUNTING_S = 30
CacheDown = (RedisError, ConnectionInterrupted, DatabaseError)


def look_up(scope: Scope) -> Board | None:
    """The board as it is now or, of a large scope, as it was counted last; None if it never was."""
    if is_small(scope):
        return board.count(scope)
    try:
        data = cache.get(_key(scope))
    except CacheDown as error:
        logger.warning("The leaderboard is counted anew, for the cache does not answer: %s", error)
        return None
    return Board.load(data) if data else None


def is_fresh(found: Board | None) -> bool:
    return found is not None and timezone.now() - found.counted_at < FRESH


def count_again(scope: Scope) -> Board | None:
    """Count a large scope and keep the result; None while somebody else is at it."""
    if not _put(cache.add, f"{_key(scope)}:counting", 1, COUNTING_S):
        return None
    counted = board.count(scope)
    _put(cache.set, _key(scope), counted.dump(), KEPT_S)
    return counted


def is_small(scope: Scope) -> bool:
    return scope.comparisons()[: SMALL + 1].count() <= SMALL


def _put(store: Any, *arguments: Any) -> Any:
    """What the cache says; where it does not answer, as if nobody had counted."""
    try:
        return store(*arguments)
    except CacheDown:
        return True


def _key(scope: Scope) -> str:
    return f"leaderboard:{hashlib.sha256(json.dumps(asdict(scope)).encode()).hexdigest()}"

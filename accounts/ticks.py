"""Ticks of the schedule: a task that finds Redis or the database away waits for the next one."""

import functools
import logging
from collections.abc import Callable

from django.db import OperationalError
from redis.exceptions import RedisError


def on_the_next_tick(task: Callable[[], int]) -> Callable[[], int]:
    """While Redis or the database is away: one line a tick instead of a traceback."""

    @functools.wraps(task)
    def run() -> int:
        try:
            return task()
        except (OperationalError, RedisError) as error:
            logging.getLogger(task.__module__).warning("%s waits for the next tick: %s", task.__name__, error)
            return 0

    return run

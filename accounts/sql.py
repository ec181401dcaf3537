"""SQL from the event loop: in a thread of a small pool, with a limit on the wait, and the connection given back."""

import asyncio
import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection, connections

from accounts.errors import PartUnavailable

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_S = 5.0
PROBE_EVERY_S = 1.0
NO_ANSWER = "The gateway's database does not answer just now. Try again in a moment."
TOO_LONG = "This takes the gateway's database too long just now. Ask for less, or try again in a moment."
_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sql")
_query_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="query")


class Health:
    """What this process knows of the database: when it answered last, and whether it does.

    While it does not, one caller finds out once a second whether it is back, and the others are told at once: a slow
    database never slows down what can do without it.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Trust the database, as at the start."""
        self._answered_at = time.monotonic()
        self._is_down = False
        self._probe_at = 0.0

    def silence_s(self) -> float:
        """Seconds since the last answer. A web process asks at least once a second, for a new configuration."""
        return time.monotonic() - self._answered_at

    def require(self) -> None:
        """Raises PartUnavailable while the database is known not to answer."""
        if self._is_down and time.monotonic() < self._probe_at:
            raise PartUnavailable(NO_ANSWER)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Ask the database inside; raises PartUnavailable if it does not answer, or did not lately."""
        if self._is_down:
            if time.monotonic() < self._probe_at:
                raise PartUnavailable(NO_ANSWER)
            self._probe_at = time.monotonic() + TIMEOUT_S + PROBE_EVERY_S  # nobody else until it ends
        try:
            yield
        except (OperationalError, InterfaceError, TimeoutError) as error:
            self._is_down, self._probe_at = True, time.monotonic() + PROBE_EVERY_S
            raise PartUnavailable(NO_ANSWER) from error
        except DatabaseError as error:
            raise PartUnavailable(NO_ANSWER) from error
        else:
            self._is_down, self._answered_at = False, time.monotonic()


health = Health()


async def run_long_sql(function: Callable[[], T]) -> T:
    """The same without a limit on the wait, for work that is not a request's; raises PartUnavailable."""
    try:
        return await asyncio.to_thread(_and_give_back, function)
    except (DatabaseError, InterfaceError) as error:
        raise PartUnavailable(NO_ANSWER) from error


async def run_query(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what somebody looks up, such as a search of the history; raises PartUnavailable.

    It has threads of its own, and one that takes long says nothing about the database: nobody else is the worse for it.
    """
    health.require()
    query = functools.partial(_or_give_up, functools.partial(function, *args, **kwargs))
    work = functools.partial(_and_give_back, query)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.get_running_loop().run_in_executor(_query_threads, work)
    except TimeoutError as error:
        raise PartUnavailable(TOO_LONG) from error
    except (DatabaseError, InterfaceError) as error:
        raise PartUnavailable(NO_ANSWER) from error


async def run_sql(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result; raises PartUnavailable if the database does not answer within 5 seconds."""
    work = functools.partial(_and_give_back, functools.partial(function, *args, **kwargs))
    with health.attempt():
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.get_running_loop().run_in_executor(_threads, work)


def _or_give_up(function: Callable[[], T]) -> T:
    """Postgres works no longer on a statement than somebody waits for it."""
    if connection.vendor != "postgresql":
        return function()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", [f"{TIMEOUT_S:g}s"])
    try:
        return function()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")


def _and_give_back(function: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return function()
    finally:
        for used in connections.all(initialized_only=True):
            if not used.in_atomic_block:
                used.close()

"""SQL from the event loop: in a thread of a small pool, with a limit on the wait, and the connection given back."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from accounts.errors import PartUnavailable

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_S = 5.0
_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sql")


async def run_long_sql(function: Callable[[], T]) -> T:
    """The same without a limit on the wait, for work that is not a request's; raises PartUnavailable."""
    try:
        return await asyncio.to_thread(_and_give_back, function)
    except (DatabaseError, InterfaceError) as error:
        raise PartUnavailable("The gateway's database does not answer just now. Try again in a moment.") from error


async def run_sql(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result; raises PartUnavailable if the database does not answer within 5 seconds."""
    work = functools.partial(_and_give_back, functools.partial(function, *args, **kwargs))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.get_running_loop().run_in_executor(_threads, work)
    except (DatabaseError, InterfaceError, TimeoutError) as error:
        raise PartUnavailable("The gateway's database does not answer just now. Try again in a moment.") from error


def _and_give_back(function: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return function()
    finally:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()

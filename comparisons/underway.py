"""The tasks of this process that no caller owns: comparisons under way, and what is being recorded."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)

_runs: set[asyncio.Task[None]] = set()
_records: set[asyncio.Task[None]] = set()
_confirmations: set[asyncio.Task[None]] = set()


def own(run: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A comparison: it may be cancelled, when the process stops, and notes that itself."""
    return _keep(run, _runs)


def own_record(record: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """The recording of one: it is waited for at a stop."""
    return _keep(record, _records)


def own_confirmation(confirmation: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """The wait until a record is in the database: nothing is lost if it is given up."""
    return _keep(confirmation, _confirmations)


def _keep(work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    among.add(task)
    task.add_done_callback(among.discard)
    return task


async def stop(patience_s: float = 3.0) -> None:
    """At a stop of the process: let comparisons end, interrupt those that do not, and record all of them."""
    if _runs:
        _, late = await asyncio.wait(_runs, timeout=patience_s)
        for run in late:
            run.cancel()
        if late:
            await asyncio.wait(late, timeout=patience_s)
    if _records:
        _, lost = await asyncio.wait(_records, timeout=patience_s)
        if lost:
            logger.error("%d comparisons could not be recorded: neither Redis nor the database answers.", len(lost))
    for confirmation in _confirmations:
        confirmation.cancel()

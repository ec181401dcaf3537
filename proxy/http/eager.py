"""Coroutines that need not wait: done at once, without a task."""

import contextlib
import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any


def begin(work: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Run a coroutine up to where it has to wait; returns what is left of it, to be awaited, None if nothing.

    As Python 3.12's eager tasks, without the task: nearly every write to a caller is done at once. So up to its first
    wait the coroutine runs in whatever task or callback this is called in, and must not ask for its own: futures,
    events, locks and queues do not, `asyncio.timeout`, anyio's scopes and `current_task` do. Neither the `send` of the
    servers that this runs on nor what is wrapped around it (CORS, the recording of answers) does.
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    return _rest(work, waits_for)


@types.coroutine
def _rest(work: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, None, None]:
    """Hand a task the very futures that the coroutine waits for, and the coroutine what the task throws."""
    with contextlib.suppress(StopIteration):
        while True:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle, a cancellation as well
                waits_for = work.throw(error)
            else:
                waits_for = work.send(None)

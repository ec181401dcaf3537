"""Worker and beat of the embedded default: the same tasks on the same schedule, in threads of the web process."""

import asyncio
import contextlib
from collections.abc import Sequence

from celery import current_app
from celery.beat import ScheduleEntry
from django.db import connections

from proxy.tasks import drain_usage


async def run_embedded(stop: asyncio.Event, last: Sequence[str] = (drain_usage.name,)) -> None:
    """Run every entry of the beat schedule at its times until `stop` is set, then the `last` tasks once more."""
    current_app.autodiscover_tasks(force=True)
    async with asyncio.TaskGroup() as group:
        for name, entry in current_app.conf.beat_schedule.items():
            group.create_task(_repeat(ScheduleEntry(name=name, app=current_app, **entry), stop))
    for task in last:
        await asyncio.to_thread(_run, task)


async def _repeat(entry: ScheduleEntry, stop: asyncio.Event) -> None:
    while not stop.is_set():
        is_due, pause_s = entry.is_due()
        if is_due:
            entry = next(entry)
            await asyncio.to_thread(_run, str(entry.task))
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)


def _run(name: str) -> None:
    """Run a task here and now. Celery logs what it raises, as in a worker."""
    try:
        current_app.tasks[name].apply()
    finally:
        connections.close_all()

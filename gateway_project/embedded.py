"""What worker and beat do, in the web process of the embedded default. Imports Celery, and so do the tasks."""

import asyncio

import gateway_project.celery  # noqa: F401 - the current application, whose schedule this follows
from comparisons.tasks import record_comparisons
from proxy.tasks import drain_usage
from proxy.usage.background import run_embedded

# What a stop may leave in the streams of the embedded Redis, which ends with the process.
LAST = [drain_usage.name, record_comparisons.name]


async def run(stop: asyncio.Event) -> None:
    """Until `stop` is set, and then once more what must not be left."""
    await run_embedded(stop, LAST)

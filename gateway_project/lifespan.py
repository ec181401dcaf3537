"""Start and stop of a web process."""

import asyncio

from django.conf import settings

from comparisons import underway
from comparisons.tasks import record_comparisons
from proxy import gateway
from proxy.http.asgi import Receive, Scope, Send
from proxy.tasks import drain_usage
from proxy.usage.background import run_embedded

# What a stop may leave in the streams of the embedded Redis, which ends with the process.
LAST = [drain_usage.name, record_comparisons.name]


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI's lifespan protocol: the gateway, and on the embedded default what worker and beat would do."""
    await receive()
    try:
        await gateway.start()
    except Exception as error:
        # Without this word the server would go on, and answer 503 for ever.
        await send({"type": "lifespan.startup.failed", "message": f"The gateway cannot start: {error!r}"})
        raise
    stop = asyncio.Event()
    background = asyncio.create_task(run_embedded(stop, LAST)) if settings.EMBEDDED else None
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await underway.stop()
    await gateway.stop()
    stop.set()
    if background:
        await background
    await send({"type": "lifespan.shutdown.complete"})

"""Start and stop of a web process."""

import asyncio

from django.conf import settings

from comparisons import underway
from proxy import gateway
from proxy.http.asgi import Receive, Scope, Send


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
    background = _start_embedded(stop) if settings.EMBEDDED else None
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await underway.stop()
    await gateway.stop()
    stop.set()
    if background:
        await background
    await send({"type": "lifespan.shutdown.complete"})


def _start_embedded(stop: asyncio.Event) -> "asyncio.Task[None]":
    from gateway_project import embedded  # noqa: PLC0415 - Celery, which no other web process needs

    return asyncio.create_task(embedded.run(stop))

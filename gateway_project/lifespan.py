"""Start and stop of a web process."""

import asyncio

from django.conf import settings

from proxy import gateway
from proxy.http.asgi import Receive, Scope, Send
from proxy.usage.background import run_embedded


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI's lifespan protocol: the gateway, and on the embedded default what worker and beat would do."""
    await receive()
    await gateway.start()
    stop = asyncio.Event()
    background = asyncio.create_task(run_embedded(stop)) if settings.EMBEDDED else None
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await gateway.stop()
    stop.set()
    if background:
        await background
    await send({"type": "lifespan.shutdown.complete"})

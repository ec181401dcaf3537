"""Comments in a stream that is silent."""

import asyncio

from django.conf import settings

from proxy.http.response import Write
from proxy.silence import SilenceWatch
from proxy.upstreams.sse import KEEP_ALIVE


class KeepAlive:
    """Writes a comment whenever nothing else was written for a while: no proxy between takes the answer for dead.

    While a write waits for a caller who reads slowly, there is no silence to fill.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._is_writing = False
        self._comment: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Write:
        self._watch = SilenceWatch(settings.GATEWAY_KEEP_ALIVE_S, self._fill_silence)
        return self._noted_write

    async def __aexit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._watch.stop()
        if self._comment:
            if kind:  # nobody waits for it any more
                self._comment.cancel()
            await asyncio.gather(self._comment, return_exceptions=True)

    async def _noted_write(self, data: bytes) -> None:
        self._is_writing = True
        if comment := self._comment:
            await asyncio.wait([comment])
            comment.result()
        await self._write(data)
        self._is_writing = False
        self._watch.heard = True

    def _fill_silence(self) -> None:
        if not self._is_writing and self._comment is None:
            self._comment = asyncio.get_running_loop().create_task(self._send_comment())

    async def _send_comment(self) -> None:
        await self._write(KEEP_ALIVE)
        self._comment = None

"""Keeping an answer for whoever sends the request again: whole and successful, or not at all."""

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from proxy.http.response import LiveResponse, Write
from proxy.idempotency.claim import Claim
from proxy.upstreams.sse import DONE, KEEP_ALIVE

MAX_KEPT_BYTES = 4 * 1024 * 1024


def recorded(response: HttpResponseBase, claim: Claim) -> HttpResponseBase:
    """The same answer; the claim is closed with it, for one that streams when it has ended."""
    if isinstance(response, LiveResponse):
        return RecordedStream(response, claim)
    whole = isinstance(response, HttpResponse) and response.status_code == 200
    close(claim, response, response.content if isinstance(response, HttpResponse) and whole else b"")
    return response


class RecordedStream(LiveResponse):
    """Writes another response, and keeps what was written if it is whole. A hang-up ends it like any stream."""

    def __init__(self, response: LiveResponse, claim: Claim) -> None:
        super().__init__(status=response.status_code, headers=dict(response.headers))
        self._response = response
        self._claim = claim
        self._written = bytearray()
        self._last = b""

    async def pump(self, write: Write) -> bytes:
        async def write_and_note(data: bytes) -> None:
            await write(data)
            self._note(data)

        try:
            last = await self._response.pump(write_and_note)
            self._note(last)
        finally:
            close(self._claim, self, bytes(self._written) if self._last.endswith(DONE) else b"")
        return last

    def _note(self, data: bytes) -> None:
        if data in {b"", KEEP_ALIVE}:
            return
        self._last = data
        if len(self._written) <= MAX_KEPT_BYTES:
            self._written += data


def close(claim: Claim, response: HttpResponseBase, answer: bytes) -> None:
    """With the answer, or without one where there is none or it is too large to keep."""
    if 0 < len(answer) <= MAX_KEPT_BYTES:
        claim.keep(answer, response.headers.get("x-gateway-model", ""), response.headers.get("x-gateway-provider", ""))
    else:
        claim.release()

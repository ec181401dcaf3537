"""Reading a request's body, for every route: not too large, not too slow, and whole.

BodyTooLarge       413   body_too_large
BodyTooSlow        408   request_timeout
BodyBrokenOff      400   body_broken_off
"""

import asyncio

from django.conf import settings

from accounts.errors import BodyTooLarge, InvalidRequest
from accounts.setting import setting
from proxy.http.asgi import EXCHANGE, Exchange, Message, Receive, Scope

# A refused body is read on up to this many times the limit: a client that is still sending would not see the answer.
DRAINED_BODIES = 4


class BodyTooSlow(InvalidRequest):
    status = 408
    code = "request_timeout"


class BodyBrokenOff(InvalidRequest):
    """The caller hung up, or what it sent is not HTTP (a broken chunk)."""

    code = "body_broken_off"


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body; raises BodyTooLarge, BodyTooSlow, BodyBrokenOff."""
    limit: int = setting("GATEWAY_MAX_BODY_BYTES")
    exchange: Exchange | None = scope.get(EXCHANGE)
    whole = exchange.body_at_hand() if exchange else None
    if whole is None:
        return await _received(_Body(limit), receive)
    if len(whole) > limit:
        raise _too_large(limit)
    return whole


async def _received(body: "_Body", receive: Receive) -> bytes:
    try:
        async with asyncio.timeout(settings.GATEWAY_BODY_TIMEOUT_S):
            await body.read(receive)
    except TimeoutError as error:
        if not body.is_too_large:
            raise BodyTooSlow(
                f"The body did not arrive within {settings.GATEWAY_BODY_TIMEOUT_S} seconds. Send it again."
            ) from error
    return body.whole()


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that tells of a body that was read already, and after it of what comes then."""
    told = False

    async def receive_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


class _Body:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data = bytearray()
        self._size = 0

    @property
    def is_too_large(self) -> bool:
        return self._size > self.limit

    def whole(self) -> bytes:
        """Raises BodyTooLarge."""
        if self.is_too_large:
            raise _too_large(self.limit)
        return bytes(self.data)

    async def read(self, receive: Receive) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BodyBrokenOff("The body broke off before its end. Send it again, whole.")
            chunk = message.get("body", b"")
            self._size += len(chunk)
            if not self.is_too_large:
                self.data += chunk
            more = message.get("more_body", False) and self._size <= self.limit * DRAINED_BODIES


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {limit // 2**20} MB. Send less, or ask the operator for a higher limit."
    )

"""The types of an ASGI application (https://asgi.readthedocs.io), and what our own server can do beyond."""

from asyncio import WriteTransport
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# In the scope: the request's exchange, if it is our own server that asks.
EXCHANGE = "gateway.exchange"


class Exchange(Protocol):
    """What our own server can do beyond ASGI (`proxy.http.exchange`)."""

    response_started: bool

    @property
    def waits_for_caller(self) -> bool: ...

    def body_at_hand(self) -> bytes | None: ...

    def answer_at_once(self, status: int, headers: Mapping[str, tuple[str, str]], body: bytes) -> bool: ...

    def announce(self, status: int, headers: Mapping[str, tuple[str, str]]) -> None: ...

    async def send(self, message: Any) -> None: ...

    def tell_of_hang_up(self, told: Callable[[], None] | None) -> None: ...

    def write_at_once(self, data: bytes) -> bool: ...

    def chunk_writer(self, stop: Callable[[], None]) -> WriteTransport | None: ...

    def end_at_once(self, data: bytes) -> bool: ...

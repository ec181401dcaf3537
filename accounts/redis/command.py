"""A command on its way to Redis."""

import asyncio
from typing import Any

from redis.exceptions import RedisError


class Command:
    """What is asked, as its line packs it, and the future of the reply.

    `may_repeat`: whether it may be sent once more, where its connection was closed before the reply came.
    """

    __slots__ = ("may_repeat", "packed", "reply")

    def __init__(self, packed: Any, reply: "asyncio.Future[Any]", *, may_repeat: bool = True) -> None:
        self.packed = packed
        self.reply = reply
        self.may_repeat = may_repeat

    def answer(self, reply: Any) -> None:
        """Hand over the reply, or raise it where it is an error; nobody gets that of a caller who was cancelled."""
        if self.reply.done():
            return
        if isinstance(reply, RedisError):
            self.reply.set_exception(reply)
        else:
            self.reply.set_result(reply)

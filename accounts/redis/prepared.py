"""A call of a script that begins alike every time."""

from collections.abc import Sequence
from typing import Any

import hiredis

from accounts.redis.script import Script


class Prepared:
    """The first keys and the first arguments of a script's calls, packed once: packing is most of what a call costs.

    `more_keys` and `more_args`: how many follow in each call.
    """

    def __init__(
        self,
        script: Script,
        keys: Sequence[str] = (),
        args: Sequence[Any] = (),
        *,
        more_keys: int = 0,
        more_args: int = 0,
    ) -> None:
        self.script = script
        self._keys = tuple(keys)
        self._args = tuple(args)
        begin = ("EVALSHA", script.sha, len(keys) + more_keys, *keys)
        self._begin = b"*%d\r\n" % (len(begin) + more_keys + len(args) + more_args) + _pack(begin)
        self._middle = _pack(self._args)

    def pack(self, keys: Sequence[Any], args: Sequence[Any]) -> bytes:
        """What goes over the wire."""
        return b"".join((self._begin, _pack(keys), self._middle, _pack(args)))

    def command(self, keys: Sequence[Any], args: Sequence[Any]) -> tuple[Any, ...]:
        """The same unpacked."""
        return ("EVALSHA", self.script.sha, *self.operands(keys, args))

    def operands(self, keys: Sequence[Any], args: Sequence[Any]) -> tuple[Any, ...]:
        """Everything after the script."""
        return (len(self._keys) + len(keys), *self._keys, *keys, *self._args, *args)


def _pack(words: Sequence[Any]) -> bytes:
    """Words of a command, without their number."""
    if not words:
        return b""
    packed: bytes = hiredis.pack_command(tuple(words))
    return packed[packed.index(b"\n") + 1 :]

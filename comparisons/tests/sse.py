"""Named server-sent events, read."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Named:
    name: str
    number: int
    data: dict[str, Any]


def read(lines: Iterable[str]) -> Iterator[Named]:
    """Each event as it arrives; comments are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Named(fields["event"], int(fields["id"]), json.loads(fields["data"]))
            fields = {}

"""A caller who reads slowly makes the provider wait, and misses nothing."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from conftest import Cast, Catalogue, LiveGateway
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunk, chunks, stream
from proxy.tests.test_hang_ups import read_until, send

# Far more than what all the buffers between a provider and a caller hold.
EVENTS, EVENT_BYTES = 800, 64 * 1024


class Flood:
    """A long answer; `told` is how many of its events the provider has begun to write."""

    def __init__(self) -> None:
        self.told = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        *_, stop, usage = chunks("")
        for self.told in range(1, EVENTS + 1):
            yield chunk({"content": f"{self.told:05}".ljust(EVENT_BYTES, ".")})
        yield from (stop, usage)


def until_nothing_moves(flood: Flood) -> None:
    seen = -1
    while flood.told != seen:
        seen = flood.told
        time.sleep(0.3)


def test_the_provider_waits_for_the_caller_who_then_gets_everything_in_order(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    catalogue.model("fake/one")
    provider.on("one", stream(flood := Flood()))
    with send(gateway, cast, stream=True) as connection:
        read_until(connection, b"00001....")
        until_nothing_moves(flood)
        assert flood.told < EVENTS, "the gateway took it all"
        received = bytearray(b"00001....")
        while not received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            data = connection.recv(1 << 20)
            assert data, received[-1000:]
            received += data
    numbers = [int(digits) for digits in re.findall(rb"(\d{5})\.{4}", received)]
    assert numbers == list(range(1, EVENTS + 1))
    [row] = recorded()
    assert (row.status, row.quality) == ("ok", "reported")


def test_a_caller_who_hangs_up_while_the_provider_waits_ends_its_call(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    catalogue.model("fake/one")
    provider.on("one", stream(flood := Flood()))
    connection = send(gateway, cast, stream=True)
    read_until(connection, b"00001....")
    until_nothing_moves(flood)
    connection.close()
    assert provider.received[0].hung_up.wait(1)
    [row] = recorded()
    assert row.status == "client_closed"

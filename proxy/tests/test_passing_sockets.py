"""Over real sockets, chunks that pass as they came are whole, in order, and paid for."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from httptools import HttpResponseParser

from conftest import PATIENCE_S, Cast, Catalogue, LiveGateway
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunk, chunks, stream, then_hang
from proxy.tests.test_hang_ups import send
from proxy.upstreams.fast_path import FastPath
from proxy.upstreams.tokenizer import count_tokens

# Of the first ones, each is told only when the one before it was read. The rest is more than all buffers hold.
STEPS, FLOOD, TEXT_BYTES = 8, 16_000, 3 * 1024


class Steps:
    """A long answer; `told` is how many of its events the provider has begun to write."""

    def __init__(self, texts: int, *, ends: bool = True) -> None:
        self.told = 0
        self.may_go_on = threading.Semaphore(0)
        self._texts = texts
        self._ends = ends

    def __iter__(self) -> Iterator[dict[str, Any]]:
        *_, stop, usage = chunks("")
        for number in range(1, self._texts + 1):
            self.told = number
            yield chunk({"content": text_of(number)})
            if number <= STEPS:
                self.may_go_on.acquire(timeout=PATIENCE_S)
        if self._ends:
            yield from (stop, usage)

    def follow(self, connection: socket.socket) -> bytes:
        """Read each of the first ones before the next is told."""
        received = b""
        for number in range(1, STEPS + 1):
            while f"{number:05}....".encode() not in received or not received.endswith(b"\n\n\r\n"):
                received += connection.recv(65536)
            if number < STEPS:
                self.may_go_on.release()
        return received


def text_of(number: int) -> str:
    return f"{number:05}".ljust(TEXT_BYTES, ".")


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The reads that passed as they came."""
    reads: list[bytes] = []
    read = FastPath.read

    def read_noted(self: FastPath, data: bytes) -> None:
        left: list[bytes] = []
        otherwise, self.otherwise = self.otherwise, left.append
        read(self, data)
        self.otherwise = otherwise
        if left:
            otherwise(data)
        else:
            reads.append(data)

    monkeypatch.setattr(FastPath, "read", read_noted)
    return reads


def test_a_caller_who_stops_to_read_gets_everything_in_order(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, passed: list[bytes],
    recorded: Callable[..., list[Usage]],
):  # fmt: skip
    catalogue.model("fake/one")
    provider.on("one", stream(steps := Steps(FLOOD)))
    body: list[bytes] = []
    ends: list[bool] = []
    parser = HttpResponseParser(SimpleNamespace(on_body=body.append, on_message_complete=lambda: ends.append(True)))
    with send(gateway, cast, stream=True) as connection:
        parser.feed_data(steps.follow(connection))
        assert len(passed) >= STEPS - 2
        steps.may_go_on.release()
        seen = -1
        while steps.told != seen:
            seen = steps.told
            time.sleep(0.3)
        assert seen < FLOOD, "the gateway took it all"
        while not ends:
            data = connection.recv(1 << 20)
            assert data
            parser.feed_data(data)  # raises if the framing is not sound
    answer = b"".join(body)
    assert [int(digits) for digits in re.findall(rb"(\d{5})\.{4}", answer)] == list(range(1, FLOOD + 1))
    assert answer.count(text_of(0)[5:].encode()) == FLOOD
    assert answer.endswith(b"data: [DONE]\n\n")
    [row] = recorded()
    assert (row.status, row.quality) == ("ok", "reported")


def test_a_caller_who_hangs_up_pays_for_what_had_passed(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, passed: list[bytes],
    recorded: Callable[..., list[Usage]],
):  # fmt: skip
    catalogue.model("fake/one")
    provider.on("one", then_hang(steps := Steps(STEPS, ends=False)))
    connection = send(gateway, cast, stream=True)
    steps.follow(connection)
    assert len(passed) >= STEPS - 2
    connection.close()
    steps.may_go_on.release()
    assert provider.received[0].hung_up.wait(PATIENCE_S)
    [row] = recorded()
    assert (row.status, row.quality) == ("client_closed", "counted")
    delivered = "".join(text_of(number) for number in range(1, STEPS + 1))
    assert row.completion_tokens == count_tokens("one", delivered)

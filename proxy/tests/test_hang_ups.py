"""A caller who hangs up: the provider's call ends within a second, and what was delivered is recorded."""

import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import orjson
import pytest

from accounts.redis import sync_client
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunks, error, hang, text, then_hang


def send(gateway: LiveGateway, cast: Cast, **fields: object) -> socket.socket:
    """A chat on a raw socket, so that the test decides when it is closed."""
    body = orjson.dumps({"model": "fake/one", "messages": [{"role": "user", "content": "Hi there"}], **fields})
    url = urlsplit(gateway.url)
    connection = socket.create_connection((url.hostname, url.port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {cast.alice.key}\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def read_until(connection: socket.socket, expected: bytes) -> None:
    received = b""
    while expected not in received:
        data = connection.recv(65536)
        assert data, received
        received += data


@pytest.mark.parametrize("streaming", [True, False])
def test_a_hang_up_before_the_answer_ends_the_providers_call(
    streaming: bool, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider,
    recorded: Callable[..., list[Usage]],
):  # fmt: skip
    catalogue.model("fake/one")
    provider.on("one", hang)
    connection = send(gateway, cast, stream=streaming)
    wait_until(lambda: bool(provider.received), "the provider to be asked")
    connection.close()
    assert provider.received[0].hung_up.wait(1)
    [row] = recorded()
    assert (row.status, row.quality, row.completion_tokens) == ("client_closed", "counted", 0)
    assert row.prompt_tokens > 0
    assert [attempt["code"] for attempt in row.attempts] == ["client_closed"]


def test_a_hang_up_in_mid_stream_pays_for_what_was_delivered(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    catalogue.model("fake/one")
    provider.on("one", then_hang(chunks("one", " two", " three")[:4]))
    connection = send(gateway, cast, stream=True)
    read_until(connection, b" three")
    connection.close()
    assert provider.received[0].hung_up.wait(1)
    [row] = recorded()
    assert (row.status, row.quality) == ("client_closed", "counted")
    assert row.completion_tokens == 3
    assert row.served_model == "fake/one"


def test_a_hang_up_while_waiting_to_retry_costs_nothing(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    catalogue.model("fake/one")
    provider.on("one", error(429, "rate_limit_exceeded", retry_after="60"))
    connection = send(gateway, cast)
    wait_until(lambda: bool(provider.received), "the provider to be asked")
    time.sleep(0.1)
    connection.close()
    [row] = recorded()
    assert (row.status, row.prompt_tokens, row.completion_tokens) == ("client_closed", 0, 0)


def test_other_callers_of_the_same_connection_pool_are_not_disturbed(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", hang, text("Whole"))
    connection = send(gateway, cast)
    wait_until(lambda: bool(provider.received), "the provider to be asked")
    client = gateway.sdk(cast.alice)
    connection.close()
    answer = client.chat.completions.create(model="fake/one", messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content == "Whole"


def test_hang_ups_at_admission_leave_nothing_reserved(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", text("Hello"))
    for number in range(150):
        connection = send(gateway, cast, max_tokens=1000 + number)
        time.sleep(number % 30 / 10_000)  # so that some fall into each moment of an admission
        connection.close()
    wait_until(lambda: not list(sync_client().scan_iter("*:reservation:*")), "every reservation to be given back")
    counters = [sync_client().hget(name, "reserved") for name in sync_client().scan_iter("*:budget:*")]
    assert set(counters) <= {b"0"}

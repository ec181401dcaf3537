"""How a provider behind litellm can fail, and what becomes of it."""

import asyncio
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from proxy.tests.vendors import anthropic
from proxy.tests.vendors.reading import listen
from proxy.tests.vendors.server import Hang, Reply, Reset, Stream, Vendor, Whole
from proxy.upstreams.base import Target
from proxy.upstreams.failures import (
    Busy,
    ConnectFailed,
    ConnectionBroken,
    ContentRefused,
    ContextWindowExceeded,
    CredentialRejected,
    MalformedAnswer,
    RateLimited,
    RequestRejected,
    ServerError,
    TimedOut,
    UpstreamFailure,
    Verdict,
)
from proxy.upstreams.litellm_wire import LitellmWire

KEY = "sk-ant-api03-only-for-tests"
HELLO: dict[str, Any] = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def target(vendor: Vendor) -> Target:
    return Target(
        provider="anthropic",
        kind="anthropic",
        wire="litellm",
        base_url=vendor.url,
        api_key=KEY,
        model="claude-haiku-4-5",
    )


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest, wire: LitellmWire) -> Any:
    """Both ways of asking: a failure before the first word is the same."""

    async def ask(target: Target, body: dict[str, Any] = HELLO) -> None:
        if request.param == "whole":
            await wire.complete(target, body)
        else:
            await listen(wire.stream(target, body))

    return ask


async def failure_of(ask: Any, target: Target, body: dict[str, Any] = HELLO) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        await ask(target, body)
    return caught.value


@pytest.mark.parametrize(
    "status, type, message, failure, verdict",
    [
        (400, "invalid_request_error", "temperature: must be at most 1", RequestRejected, Verdict.STOP),
        (404, "not_found_error", "model: claude-9", RequestRejected, Verdict.STOP),
        (401, "authentication_error", "invalid x-api-key", CredentialRejected, Verdict.NEXT),
        (403, "permission_error", "not allowed", CredentialRejected, Verdict.NEXT),
        (400, "invalid_request_error", "Your credit balance is too low.", CredentialRejected, Verdict.NEXT),
        (409, "conflict_error", "try again", Busy, Verdict.NEXT),
        (429, "rate_limit_error", "slow down", RateLimited, Verdict.NEXT),
        (500, "api_error", "Internal server error", ServerError, Verdict.RETRY),
        (503, "api_error", "unavailable", ServerError, Verdict.NEXT),
        (529, "overloaded_error", "Overloaded", ServerError, Verdict.NEXT),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            ContextWindowExceeded,
            Verdict.LARGER_WINDOW,
        ),
        (400, "invalid_request_error", "Output blocked by content filtering policy", ContentRefused, Verdict.STOP),
    ],
)
async def test_a_refusal_has_the_providers_status_and_a_verdict(
    ask: Any,
    vendor: Vendor,
    target: Target,
    status: int,
    type: str,
    message: str,
    failure: type[UpstreamFailure],
    verdict: Verdict,
):
    vendor.reply = anthropic.error(status, type, message)

    caught = await failure_of(ask, target)

    assert caught.__class__ is failure
    assert caught.verdict is verdict
    assert caught.status == (401 if "credit" in message else status)
    assert failure is CredentialRejected or caught.message == message


async def test_a_rate_limit_says_when_to_come_back(ask: Any, vendor: Vendor, target: Target):
    vendor.reply = anthropic.error(429, "rate_limit_error", "slow down", retry_after="17")

    caught = await failure_of(ask, target)

    assert isinstance(caught, RateLimited)
    assert caught.retry_after_s == 17
    assert caught.code == "rate_limit_error"


@pytest.mark.parametrize(
    "reply",
    [
        anthropic.error(500, "api_error", "oops"),
        anthropic.error(529, "overloaded_error", "Overloaded"),
        anthropic.error(429, "rate_limit_error", "slow down"),
        Reset(),
    ],
    ids=["500", "529", "429", "reset"],
)
async def test_a_failed_call_was_sent_once(ask: Any, vendor: Vendor, target: Target, reply: Reply):
    vendor.reply = reply

    await failure_of(ask, target)

    assert len(vendor.received) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_our_key_is_in_no_failure(ask: Any, vendor: Vendor, target: Target, status: int):
    vendor.reply = anthropic.error(status, "some_error", f"no good: {KEY}")

    caught = await failure_of(ask, target)

    assert KEY not in str(caught)
    assert KEY not in "".join(traceback.format_exception(caught))


async def test_a_callers_text_is_in_no_traceback(ask: Any, vendor: Vendor, target: Target):
    body = {"messages": [{"role": "robot", "content": "my secret plan"}]}

    caught = await failure_of(ask, target, body)

    assert "my secret plan" not in "".join(traceback.format_exception(caught))


async def test_a_dropped_connection_is_broken(ask: Any, vendor: Vendor, target: Target):
    vendor.reply = Reset()

    assert isinstance(await failure_of(ask, target), ConnectionBroken)


async def test_a_closed_port_is_a_failure_to_connect(ask: Any, target: Target):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = replace(target, base_url=f"http://127.0.0.1:{closed.getsockname()[1]}")

        assert isinstance(await failure_of(ask, nowhere), ConnectFailed)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes no connection and refuses none: its queue is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_connecting_has_a_time_limit(ask: Any, target: Target):
    with silent_port() as port:
        nowhere = replace(target, base_url=f"http://127.0.0.1:{port}", connect_timeout_s=0.2)

        caught = await failure_of(ask, nowhere)

    assert isinstance(caught, TimedOut)
    assert caught.code == "connect_timeout"


async def test_a_hanging_provider_is_the_callers_to_give_up_on(ask: Any, vendor: Vendor, target: Target):
    vendor.reply = Hang()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await ask(target)


@pytest.mark.parametrize("body", [{"type": "message"}, {}, {"unexpected": 1}])
async def test_an_answer_that_is_none_is_malformed(
    wire: LitellmWire, vendor: Vendor, target: Target, body: dict[str, Any]
):
    vendor.reply = Whole(body)

    with pytest.raises(MalformedAnswer):
        await wire.complete(target, HELLO)


async def test_a_stream_of_something_else_is_malformed(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = Stream([b'event: message_start\ndata: {"type": "message_start", "message": 5}\n\n'])

    with pytest.raises(MalformedAnswer):
        await listen(wire.stream(target, HELLO))


async def test_a_redirect_is_not_followed_with_our_key(ask: Any, vendor: Vendor, target: Target):
    async with Vendor() as other:
        vendor.reply = Whole({}, 307, {"Location": f"{other.url}/v1/messages"})

        assert isinstance(await failure_of(ask, target), MalformedAnswer)
        assert other.received == []


@pytest.mark.parametrize(
    "messages",
    [
        "Hello",
        [],
        [5],
        [{"role": "user"}],
        [{"role": "robot", "content": "x"}],
        [{"role": "user", "content": [{}]}],
    ],
    ids=["text", "none", "number", "no content", "role", "part"],
)
async def test_a_request_that_cannot_be_translated_is_left_to_the_next_link(
    ask: Any, vendor: Vendor, target: Target, messages: Any
):
    caught = await failure_of(ask, target, {"messages": messages})

    assert isinstance(caught, RequestRejected)
    assert (caught.code, caught.status, caught.verdict) == ("untranslatable_request", 400, Verdict.NEXT)
    assert not caught.trips_breaker
    assert vendor.received == []


async def test_an_image_address_is_not_fetched(ask: Any, vendor: Vendor, target: Target):
    image = {"type": "image_url", "image_url": {"url": f"{vendor.url}/internal.png"}}

    caught = await failure_of(ask, target, {"messages": [{"role": "user", "content": [image]}]})

    assert "data: URL" in caught.message
    assert vendor.received == []


async def test_an_unknown_kind_of_provider_is_named(ask: Any, target: Target):
    caught = await failure_of(ask, replace(target, kind="antropic"))

    assert isinstance(caught, ConnectFailed)
    assert "antropic" in caught.message

"""What a request and a streamed chunk cost, in calls of Python functions: a count, so that no busy machine changes it.

Counted are functions of ours, of Django and of REST framework. A change that goes above a ceiling makes the hot path
slower. Where that is worth it, raise the ceiling in the same commit, and say why; where a count has fallen by far,
lower it.
"""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conftest import Cast, Catalogue
from gateway_project.asgi import application
from proxy import gateway
from proxy.http.asgi import Exchange, Message
from proxy.http.stream import EventStream
from proxy.meter import Meter
from proxy.stream import Stream
from proxy.tests.call_count import counted
from proxy.tests.fake_provider import FakeProvider, chunk, text
from proxy.tests.provider_line import END, Line, chunked
from proxy.upstreams.base import Target
from proxy.upstreams.http.response import Response
from proxy.upstreams.openai_wire import OpenAIWire, WireStream
from proxy.upstreams.sse import DONE

CALLS_A_REQUEST = 323
CALLS_A_HIT = 187
CALLS_A_CHUNK = 3
CALLS_A_DECODED_CHUNK = 31

WARM_UP, REQUESTS, CHUNKS = 5, 20, 500
OURS = str(Path(__file__).resolve().parents[2])
LIBRARIES = ("/site-packages/django/", "/site-packages/rest_framework/")
COUNTED = (*(f"{OURS}/{name}/" for name in ("accounts", "proxy", "comparisons", "gateway_project")), *LIBRARIES)


@pytest.fixture
def key(
    transactional_db: None, cast: Cast, catalogue: Catalogue, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setattr(gateway, "POLL_S", 60.0)  # nothing but requests is counted
    catalogue.chain("plain", catalogue.model())
    provider.on("one", text("Hello"))
    return cast.alice.key


def test_a_chat_takes_no_more_calls_than_it_did(key: str):
    said = [f"Hi, {number}" for number in range(WARM_UP + REQUESTS)]
    assert 0 < asyncio.run(calls_of_chats(key, said, b"miss")) / REQUESTS <= CALLS_A_REQUEST


def test_a_chat_that_the_cache_answers_takes_no_more_calls_than_it_did(key: str):
    said = ["Hi"] * (WARM_UP + REQUESTS)
    assert 0 < asyncio.run(calls_of_chats(key, said, b"hit")) / REQUESTS <= CALLS_A_HIT


def test_a_chunk_that_passes_as_it_came_takes_no_more_calls_than_it_did():
    calls, passed = asyncio.run(calls_of_chunks([f" w{number}" for number in range(CHUNKS)]))
    assert passed > 0.98 * CHUNKS
    assert 0 < calls / CHUNKS <= CALLS_A_CHUNK


def test_a_chunk_that_is_decoded_takes_no_more_calls_than_it_did():
    calls, passed = asyncio.run(calls_of_chunks([f'"w{number}"' for number in range(CHUNKS)]))
    assert passed == 0
    assert 0 < calls / CHUNKS <= CALLS_A_DECODED_CHUNK


async def calls_of_chats(key: str, said: list[str], cache: bytes) -> int:
    """With the settlements. `cache`: hit or miss, what each must be."""
    await gateway.start()
    try:
        for words in said[:WARM_UP]:  # connections, caches, what is imported late
            await ask(key, words)
        with counted(*COUNTED) as count:
            answers = [await ask(key, words) for words in said[WARM_UP:]]
    finally:
        await gateway.stop()
    assert {dict(answer["headers"])[b"x-gateway-cache"] for answer in answers} == {cache}
    return count.calls


async def calls_of_chunks(words: list[str]) -> tuple[int, int]:
    """Also tells how many were passed on as they came."""
    said = [f"data: {json.dumps(chunk({'content': word}))}\n\n".encode() for word in words]
    reads = [chunked(event) for event in said]
    written: list[bytes] = []
    passed: list[bytes] = []

    async def write(data: bytes) -> None:
        written.append(data)

    def write_at_once(data: bytes) -> bool:
        written.append(data)
        return True

    stream = await answered_by(reads)
    # As the handler does for our own server.
    transport = SimpleNamespace(write=passed.append)
    stream.exchange = cast(Exchange, SimpleNamespace(write_at_once=write_at_once, chunk_writer=lambda _: transport))
    with counted(*COUNTED) as count:
        assert await stream.pump(write) == DONE
    assert {*map(chunked, written)} | {*passed} >= {*reads}
    assert len(written) + len(passed) == len(reads) + 1  # how it ended
    return count.calls, len(passed)


async def answered_by(reads: list[bytes]) -> EventStream:
    """A stream's way from the provider's bytes to the caller's, without the sockets at its ends."""
    source = WireStream(cast(OpenAIWire, Provider(reads)), cast(Target, None), {})
    meter = Meter()
    head = list(await anext(source))
    meter.feed(head)
    around: Any = SimpleNamespace(
        headers=dict, transcript=None, request_id="req_1", finish=lambda *_: None, checkpoint=lambda _: None
    )
    return EventStream(around, around, Stream(source, meter, head, 60.0), usage_chunk=False)


class Provider:
    """Stands for the wire: a connection that reads one chunk in each turn of the event loop."""

    def __init__(self, reads: list[bytes]) -> None:
        self._reads = reads

    async def post(self, *_: object) -> Response:
        line = Line()
        line.begin()
        self._speaking = asyncio.create_task(self._speak(line))
        return line.response

    async def _speak(self, line: Line) -> None:
        for read in [*self._reads, chunked(f"data: {json.dumps(chunk({}, 'stop'))}\n\n".encode())]:
            line.socket.read(read)
            await asyncio.sleep(0)
        line.say(end=END)


async def ask(key: str, words: str) -> Message:
    """One chat, as the server hands it over; returns how the answer began."""
    body = json.dumps({"model": "plain", "messages": [{"role": "user", "content": words}]}).encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 5000),
        "headers": [
            (b"host", b"127.0.0.1:5000"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"authorization", f"Bearer {key}".encode()),
        ],
    }
    unread = [{"type": "http.request", "body": body, "more_body": False}]
    answer: list[Message] = []

    async def receive() -> Message:
        if not unread:
            await asyncio.Event().wait()  # the caller stays
        return unread.pop()

    async def send(message: Message) -> None:
        answer.append(message)

    await application(scope, receive, send)
    assert answer[0]["status"] == 200
    return answer[0]

"""Clients of the gateway: each sends a request, reads the answer, or hangs up in the middle of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from benchmarks.exactness.stage import Key

PATIENCE_S = 120.0
PAUSE_S = 0.2


@dataclass(frozen=True)
class Wish:
    """One request to make. Its client hangs up after `hang_up_s`, or after so many words of a stream; None: never."""

    id: str
    key: Key
    body: dict[str, Any]
    hang_up_s: float | None = None
    hang_up_words: int | None = None

    @property
    def raw(self) -> bytes:
        return orjson.dumps(self.body)


@dataclass
class Outcome:
    """What the client saw. `status` 0: nothing. `words`: chunks with content; `whole`: the answer came to its end."""

    wish: Wish
    status: int = 0
    code: str = ""
    request_id: str = ""
    cache: str = ""
    text: list[str] = field(default_factory=list)
    words: int = 0
    whole: bool = False
    hung_up: bool = False
    broken: bool = False


def chat(
    script: dict[str, Any], *, model: str = "plain", stream: bool = False, max_tokens: int = 64, prompt: str = "Hello"
) -> dict[str, Any]:
    """A request for the provider of the stage."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
    return {**body, **({"stream": True} if stream else {}), "script": script}


class HungUp(Exception):
    """The client has heard enough."""


class Callers:
    """Many clients at once. `patient`: who is told to come back later (503) does so."""

    def __init__(self, url: str, *, patient: bool = False) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._patient = patient

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(limit=0, force_close=False)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            yield session

    async def ask_all(
        self, wishes: Iterable[Wish], *, at_once: int, heard: Callable[[Outcome], object] | None = None
    ) -> list[Outcome]:
        """Make all requests, `at_once` at a time; the outcomes as they came."""
        outcomes: list[Outcome] = []

        def keep(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if heard:
                heard(outcome)

        await self.listen(wishes, at_once=at_once, heard=keep)
        return outcomes

    async def listen(self, wishes: Iterable[Wish], *, at_once: int, heard: Callable[[Outcome], object]) -> None:
        """The same for so many requests that their outcomes are not to be kept."""
        waiting = iter(wishes)

        async def client(session: aiohttp.ClientSession) -> None:
            for wish in waiting:
                while (outcome := await self.ask(session, wish)).status == 503:
                    await asyncio.sleep(PAUSE_S)
                    if not self._patient:
                        break
                heard(outcome)

        async with self._session() as session:
            await asyncio.gather(*(client(session) for _ in range(at_once)))

    async def ask(self, session: aiohttp.ClientSession, wish: Wish) -> Outcome:
        outcome = Outcome(wish)
        try:
            async with asyncio.timeout(wish.hang_up_s):
                await self._ask(session, wish, outcome)
        except (TimeoutError, HungUp):
            outcome.hung_up = True
        except (aiohttp.ClientError, OSError):
            outcome.broken = True
        return outcome

    async def _ask(self, session: aiohttp.ClientSession, wish: Wish, outcome: Outcome) -> None:
        headers = {"Authorization": f"Bearer {wish.key.key}", "Content-Type": "application/json"}
        headers["x-gateway-tags"] = wish.id
        async with session.post(self._url, data=wish.raw, headers=headers) as answer:
            outcome.status = answer.status
            outcome.request_id = answer.headers.get("x-request-id", "")
            outcome.cache = answer.headers.get("x-gateway-cache", "")
            if answer.content_type == "text/event-stream":
                await _read_stream(answer, outcome)
            else:
                _read_whole(await answer.read(), outcome)


async def _read_stream(answer: aiohttp.ClientResponse, outcome: Outcome) -> None:
    async for line in answer.content:
        if outcome.words == outcome.wish.hang_up_words:
            answer.close()
            raise HungUp
        if line.startswith(b"data: [DONE]"):
            outcome.whole = True
        elif line.startswith(b"data: "):
            data = orjson.loads(line[6:])
            outcome.code = (data.get("error") or {}).get("code") or outcome.code
            for choice in data.get("choices") or ():
                if word := choice["delta"].get("content"):
                    outcome.words += 1
                    outcome.text.append(word)


def _read_whole(raw: bytes, outcome: Outcome) -> None:
    data = json.loads(raw)
    if outcome.status == 200:
        outcome.text.append(data["choices"][0]["message"]["content"])
        outcome.whole = True
    else:
        outcome.code = data["error"]["code"]

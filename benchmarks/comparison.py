"""How long a comparison takes beside its slowest model alone.

    python -m benchmarks.comparison [--rounds 20] [--allow-ms 50]

Five models behind one local provider begin to answer after 0.1 to 1 s. Each round asks the slowest of them alone, then
all five at once, through a gateway of its own on the embedded default. Prints one line of JSON; exit 1 where the
comparison took longer than the slowest model by more than is allowed, in the median round.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from benchmarks.exactness.stage import free_port

DELAYS_S = {"a": 0.1, "b": 0.3, "c": 0.5, "d": 0.75, "e": 1.0}
WORDS = 20
STARTUP_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--allow-ms", type=float, default=50)
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.rounds))
    print(json.dumps(figures))
    if figures["over_slowest_ms_median"] > arguments.allow_ms:
        sys.exit(f"The comparison took {figures['over_slowest_ms_median']} ms longer than the slowest model alone.")


async def measure(rounds: int) -> dict[str, float]:
    """{rounds, slowest_alone_ms, comparison_ms, over_slowest_ms_median, over_slowest_ms_max}; medians."""
    async with Provider() as provider:
        with tempfile.TemporaryDirectory() as folder:
            gateway = await Gateway.start(Path(folder), provider.base_url)
            try:
                return await _rounds(gateway, rounds)
            finally:
                await gateway.stop()


async def _rounds(gateway: "Gateway", rounds: int) -> dict[str, float]:
    slowest = max(DELAYS_S, key=lambda name: DELAYS_S[name])
    alone, together = [], []
    headers = {"Authorization": f"Bearer {gateway.key}", "Cache-Control": "no-store"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=30) as http:
        for number in range(-1, rounds):
            messages = [{"role": "user", "content": f"Round {number}"}]
            one = await timed(http, "/v1/chat/completions", {"model": f"paced/{slowest}", "messages": messages})
            names = [f"paced/{name}" for name in DELAYS_S]
            all_of_them = await timed(http, "/compare_models", {"models": names, "messages": messages})
            if number >= 0:  # the first round opens connections
                alone.append(one)
                together.append(all_of_them)
    over = [both - one for one, both in zip(alone, together, strict=True)]
    return {
        "rounds": rounds,
        "slowest_alone_ms": round(statistics.median(alone), 1),
        "comparison_ms": round(statistics.median(together), 1),
        "over_slowest_ms_median": round(statistics.median(over), 1),
        "over_slowest_ms_max": round(max(over), 1),
    }


async def timed(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> float:
    """Milliseconds until the whole answer is here."""
    began = time.perf_counter()
    response = await http.post(path, json=body)
    took = (time.perf_counter() - began) * 1000
    assert response.status_code == 200, response.text
    assert response.json().get("status", "complete") == "complete", response.text
    return took


class Provider:
    """Speaks OpenAI's wire; each model waits as long as its name says."""

    async def __aenter__(self) -> "Provider":
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        await asyncio.sleep(DELAYS_S[body["model"]])
        words = ["word "] * WORDS
        usage = {"prompt_tokens": 5, "completion_tokens": WORDS, "total_tokens": WORDS + 5}
        head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        choices = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in words]
        choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        chunks = [{**head, "object": "chat.completion.chunk", "choices": [choice]} for choice in choices]
        for chunk in [*chunks, {**chunks[0], "choices": [], "usage": usage}]:
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response


class Gateway:
    """`manage.py serve` with a folder, a tenant and a key of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, key: str) -> None:
        self._process = process
        self.url = url
        self.key = key

    @classmethod
    async def start(cls, folder: Path, provider_url: str) -> "Gateway":
        configuration = folder / "gateway.yaml"
        configuration.write_text(_yaml(provider_url))
        await _manage(folder, "migrate", "--verbosity", "0")
        await _manage(folder, "apply_config", str(configuration))
        key = (await _manage(folder, "create_api_key", "--user", "bench", "--name", "bench")).strip()
        port = free_port()
        process = await _start(folder, "serve", "--port", str(port))
        gateway = cls(process, f"http://127.0.0.1:{port}", key)
        await gateway._is_up()
        return gateway

    async def _is_up(self) -> None:
        async with asyncio.timeout(STARTUP_S), httpx.AsyncClient(base_url=self.url) as http:
            while True:
                try:
                    if (await http.get("/health/ready")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()


def _yaml(provider_url: str) -> str:
    models = [{"name": f"paced/{name}", "provider": "paced", "upstream_name": name} for name in DELAYS_S]
    provider = {"name": "paced", "kind": "openai", "wire": "openai", "base_url": provider_url, "needs_key": False}
    user = {"username": "bench", "role": "member", "requests_per_minute": None}
    return json.dumps({"providers": [provider], "models": models, "tenants": [{"name": "bench", "users": [user]}]})


async def _manage(folder: Path, *arguments: str) -> str:
    process = await _start(folder, *arguments)
    output, _ = await process.communicate()
    if process.returncode:
        sys.exit(f"manage.py {arguments[0]} failed.")
    return output.decode()


async def _start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    embedded = {"DATABASE_URL": "", "REDIS_URL": "", "GATEWAY_ALLOW_EMBEDDED": "1", "GATEWAY_DATA_DIR": str(folder)}
    environment = {"SECRET_KEY": "only-for-this-benchmark", **os.environ, **embedded}
    return await asyncio.create_subprocess_exec(
        sys.executable, "manage.py", *arguments, env=environment, stdout=asyncio.subprocess.PIPE
    )


if __name__ == "__main__":
    main()

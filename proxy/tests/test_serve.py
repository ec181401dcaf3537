"""`manage.py serve` from its start to its stop, and the web processes it looks after."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import Cast, Catalogue, wait_until
from proxy.http.server import Server, bind, configuration
from proxy.tests.processes import WebProcess, same_services

TRYING_OUT = {"GATEWAY_ALLOW_EMBEDDED": "1"}
# A worker that serves for a minute; {serve} is what it does.
WORKERS = """
import os, sys, time
from proxy.http.workers import Workers
Workers(2, lambda: {serve}, patience_s={patience_s}).run()
"""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_was_asked_for_is_no_failure(stop: signal.Signals, tmp_path: Path):
    with WebProcess(tmp_path, TRYING_OUT) as server:
        server.process.send_signal(stop)
        assert server.process.wait(20) == 0
    assert "Traceback" not in server.output


class TellsOfItsStart:
    """An ASGI application whose lifespan is as scripted."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = events

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for event in self.events:
            await send(event)
        raise RuntimeError("ours")


def test_a_gateway_that_cannot_start_says_why_and_ends(caplog: pytest.LogCaptureFixture):
    app = TellsOfItsStart({"type": "lifespan.startup.failed", "message": "The gateway cannot start: no disk"})
    with caplog.at_level(logging.WARNING), pytest.raises(SystemExit) as ended:
        Server(configuration(app)).run([bind("127.0.0.1", 0)])
    assert ended.value.code == 3
    assert "The gateway cannot start: no disk" in caplog.messages


@contextmanager
def workers(serve: str, patience_s: float = 10.0) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKERS.format(serve=serve, patience_s=patience_s)],
        cwd=Path(__file__).resolve().parents[2],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_that_dies_is_replaced():
    with workers("time.sleep(60)") as process:
        wait_until(lambda: len(children(process.pid)) == 2, "two workers")
        first, second = children(process.pid)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(set(children(process.pid)) - {first}) == 2, "another worker in its place")
        assert second in children(process.pid)
        process.terminate()
        assert process.wait(10) == 0


def test_workers_that_cannot_start_are_not_tried_for_ever():
    with workers("sys.exit(3)") as process:
        assert process.wait(10) == 3


def test_a_worker_that_does_not_stop_is_killed():
    deaf = "[__import__('signal').signal(15, 1), time.sleep(60)]"
    with workers(deaf, patience_s=0.2) as process:
        wait_until(lambda: all(_ignores_sigterm(pid) for pid in children(process.pid) or [0]), "deaf workers")
        process.terminate()
        assert process.wait(10) == 0


def _ignores_sigterm(pid: int) -> bool:
    if not pid:
        return False
    [ignored] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:")]
    return bool(int(ignored.split()[1], 16) & 1 << (signal.SIGTERM - 1))


@pytest.mark.services
def test_workers_serve_and_end_with_the_process_that_looks_after_them(
    transactional_db: None, cast: Cast, catalogue: Catalogue, tmp_path: Path
):
    catalogue.demo("echo")
    with WebProcess(tmp_path, same_services(), "--workers", "2") as server:
        assert len(children(server.process.pid)) == 2
        body = {"model": "demo/echo", "messages": [{"role": "user", "content": "Hi"}]}
        for _ in range(8):  # a connection each: over both of them
            answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=cast.alice.headers, timeout=10)
            assert answer.status_code == 200
        server.process.kill()
        wait_until(lambda: not _listens(server.port), "the orphans to end")


@pytest.mark.services
def test_an_answer_under_way_may_end_before_the_server_does(
    transactional_db: None, cast: Cast, catalogue: Catalogue, tmp_path: Path
):
    catalogue.demo("slow")
    with WebProcess(tmp_path, same_services()) as server:
        body = {"model": "demo/slow", "stream": True, "messages": [{"role": "user", "content": "One two three"}]}
        url = f"{server.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=cast.alice.headers, timeout=10) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.terminate()
            assert "data: [DONE]" in list(lines)
        assert server.process.wait(20) == 0


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True

"""Runs the commands of docker-compose.yml's own services here, on the Postgres and Redis of DATABASE_URL and REDIS_URL.

Each starts with the environment that compose would give it (.env is .env.example) and must become healthy. Together
they must answer a chat and record it, and each must stop when it is told to. Both databases are gone at the end.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import psycopg
import yaml
from redis import Redis

ROOT = Path(__file__).resolve().parents[1]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DATABASE = "gateway_compose"
REDIS_URL = urlsplit(os.environ["REDIS_URL"])._replace(path="/9").geturl()
QUEUE = "{gw}:celery:celery"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(data: str) -> dict[str, str]:
    """What compose sets: .env (as copied from .env.example), then the services' own variables."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {
        **dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")),
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{DATABASE}").geturl(),
        "REDIS_URL": REDIS_URL,
        "GATEWAY_DATA_DIR": data,
        "HOSTNAME": socket.gethostname(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
    }


class Service:
    """One service's process, with what it prints in a file."""

    def __init__(self, name: str, port: int, env: dict[str, str], folder: str) -> None:
        self.name, self.env = name, env
        self.command = SERVICES[name]["command"].replace("--port 5000", f"--port {port}")
        self.output = Path(folder, f"{name}.log")
        self.started = time.monotonic()
        print(f"{name}: {self.command}", flush=True)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                shlex.split(self.command), cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True
            )

    def wait_until(self, what: str, done: Callable[[], bool], seconds: float = 60) -> None:
        while not done():
            if self.process.poll() is not None:
                self.fail(f"ended with exit code {self.process.returncode}")
            if time.monotonic() - self.started > seconds:
                self.fail(f"was not {what} after {seconds:.0f} s")
            time.sleep(0.2)
        print(f"{self.name}: {what} {time.monotonic() - self.started:.1f} s after its start", flush=True)

    def wait_until_done(self, seconds: float = 120) -> None:
        if self.process.wait(seconds):
            self.fail(f"ended with exit code {self.process.returncode}")
        print(f"{self.name}: done {time.monotonic() - self.started:.1f} s after its start", flush=True)

    def passes_its_health_check(self) -> bool:
        kind, check = SERVICES[self.name]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        shell = ["sh", "-c", check.replace("$$", "$")]
        return not subprocess.run(shell, cwd=ROOT, env=self.env, capture_output=True, timeout=30).returncode

    def stop(self) -> None:
        """As `docker compose stop` does it: SIGTERM, and the exit code must be 0."""
        started = time.monotonic()
        self.process.terminate()
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.fail("did not stop within 30 s")
        if code:
            self.fail(f"stopped with exit code {code}")
        print(f"{self.name}: stopped in {time.monotonic() - started:.1f} s", flush=True)

    def fail(self, what: str) -> NoReturn:
        print(self.output.read_text()[-5000:])
        sys.exit(f"{self.name} {what}: {self.command}")

    def kill(self) -> None:
        """Whatever is left of it, its children too."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3):
            return True
    except (urllib.error.URLError, OSError):
        return False


def chat(port: int, env: dict[str, str]) -> None:
    """Ask the demo chain, with a key of the demo user's."""
    subprocess.run(["python", "manage.py", "demo"], cwd=ROOT, env=env, check=True, capture_output=True)
    key = json.loads(Path(env["GATEWAY_DATA_DIR"], "demo.json").read_text())["api_key"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(f"chat: {json.load(answer)['choices'][0]['message']}", flush=True)


def recorded(env: dict[str, str]) -> bool:
    with psycopg.connect(env["DATABASE_URL"]) as database:
        return database.execute("SELECT count(*) FROM proxy_usage").fetchone() == (1,)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Told to stop."))
    port = free_port()
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory())
        server = cleanup.enter_context(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True))
        server.execute(f"CREATE DATABASE {DATABASE}")
        cleanup.callback(server.execute, f"DROP DATABASE {DATABASE} WITH (FORCE)")

        env = environment(folder)

        def start(name: str) -> Service:
            service = Service(name, port, env, folder)
            cleanup.callback(service.kill)
            return service

        queue = cleanup.enter_context(Redis.from_url(REDIS_URL))
        cleanup.callback(queue.flushdb)

        start("migrate").wait_until_done()
        web, beat = start("web"), start("beat")
        web.wait_until("ready", lambda: answers(f"http://127.0.0.1:{port}/health/ready"))
        beat.wait_until("ticking", lambda: bool(queue.llen(QUEUE)))
        worker = start("worker")
        worker.wait_until("healthy and idle", lambda: worker.passes_its_health_check() and not queue.llen(QUEUE))
        chat(port, env)
        worker.wait_until("done recording", lambda: recorded(env))
        for service in (web, worker, beat):
            service.stop()


if __name__ == "__main__":
    main()

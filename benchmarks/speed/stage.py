"""Our gateway as in production, on a Postgres database and a Redis of its own: one web process, worker and beat."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psycopg

from benchmarks.exactness.stage import OURS, ROOT, STARTUP_S, Process, RedisServer, Stalled, free_port, wait_until
from benchmarks.speed.processes import Cores, memory_mb, pinned

CAST = [sys.executable, "-m", "benchmarks.speed.cast"]
STARTS = 2


class Stage:
    """Everything that runs but the peers. A context manager: at its end all of it is gone, the database too.

    `database_url`: any database of the Postgres server to use; ours is made beside it. `with_litellm`: there is a model
    that needs it, so that web processes import it.
    """

    def __init__(self, database_url: str, cores: Cores, *, with_litellm: bool = True) -> None:
        self._server_url = database_url
        self._with_litellm = with_litellm
        self._database = f"bench_{secrets.token_hex(4)}"
        self._database_url = urlsplit(database_url)._replace(path=f"/{self._database}").geturl()
        self.cores = cores
        self.port, self._upstream_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.upstream_url = f"http://127.0.0.1:{self._upstream_port}"
        self.starts: list[dict[str, float]] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-speed-")))
            server = stack.enter_context(psycopg.connect(self._server_url, autocommit=True))
            server.execute(f"CREATE DATABASE {self._database}")
            stack.callback(server.execute, f"DROP DATABASE IF EXISTS {self._database} WITH (FORCE)")
            self.redis = RedisServer(self.folder)
            stack.callback(self.redis.kill)
            self.environment = self._make_environment()
            self.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"])
            self.keys: dict[str, str] = json.loads(self.run([*CAST, "everybody", self.upstream_url]))
            self._start_all(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self, command: list[str], **environment: str) -> str:
        """Run a command of ours to its end; returns what it printed."""
        told = {**self.environment, **environment}
        done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Stalled(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start_web(self, *, core: int, port: int) -> Process:
        """A web process, ready; notes how long that took, and its memory before the first request."""
        command = [sys.executable, "manage.py", "serve", "--port", str(port)]
        began = time.perf_counter()
        process = Process(f"web-{port}", pinned(core, command), self.environment, self.folder)
        wait_until(lambda: is_ready(process, f"http://127.0.0.1:{port}/health/ready"), "the gateway", STARTUP_S)
        ready_s = time.perf_counter() - began
        self.starts.append({"ready_s": ready_s, "idle_mb": memory_mb(process)})
        return process

    def _start_all(self, stack: contextlib.ExitStack) -> None:
        celery = [sys.executable, "-m", "celery", "-A", "gateway_project"]
        commands = {
            "upstream": [sys.executable, "-m", "benchmarks.speed.upstream", "--port", str(self._upstream_port)],
            "worker": [*celery, "worker", "--concurrency", "1", "--without-mingle", "--without-gossip"],
            "beat": [*celery, "beat"],
        }
        for name, command in commands.items():
            process = Process(name, pinned(self.cores.other, command), self.environment, self.folder)
            stack.callback(process.kill)
        for _ in range(STARTS):
            self.start_web(core=self.cores.server, port=free_port()).kill()
        self.web = self.start_web(core=self.cores.server, port=self.port)
        stack.callback(self.web.kill)
        # Only now: a gateway with a model that needs litellm imports it in the background of its start.
        if self._with_litellm:
            self.run([*CAST, "claude", self.upstream_url])

    def _make_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return {
            **inherited,
            "DATABASE_URL": self._database_url,
            "REDIS_URL": self.redis.url,
            "SECRET_KEY": secrets.token_urlsafe(48),
            "GATEWAY_DATA_DIR": str(self.folder),
        }


def is_ready(process: Process, url: str) -> bool:
    """Whether the route answers 200; raises Stalled where the process has ended."""
    if process.popen.poll() is not None:
        raise Stalled(f"{process.name} ended: {process.output}")
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False

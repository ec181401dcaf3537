"""All processes of a gateway in production, on a Postgres database and a Redis of their own, and a provider beside."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
import redis

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = "{gw}:processes"
EPOCH = "{gw}:epoch"
RESERVATIONS_OF = "{gw}:reservations:"
STARTUP_S = 60.0
PORTS = range(10_000, 32_000)
PATIENCE_S = 60.0
# What a process of ours must not inherit: each is told anew.
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "GATEWAY_", "POSTHOG_", "DJANGO_SETTINGS_MODULE")


class Stalled(AssertionError):
    """Something that was waited for did not happen in time."""


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll a condition; raises Stalled with what was waited for."""
    ends = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > ends:
            raise Stalled(f"waited {patience_s:g} s in vain for {what}")
        time.sleep(0.05)


def free_port() -> int:
    """One that nobody listens on, and below those that the kernel lends to connections: none takes it meanwhile."""
    while True:
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass
class Key:
    """An API key of the cast, and whose it is. `budgets`: its counters' names by Redis for this month."""

    key: str
    key_id: str
    user_id: int
    tenant_id: int


class Process:
    """A command in a session of its own, with what it prints in a file."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name, self._command, self._environment = name, command, environment
        self._log = folder / f"{name}.log"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """With its children and without a warning, as a machine dies."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)

    @property
    def output(self) -> str:
        return self._log.read_text()[-4000:]


class RedisServer:
    """A Redis as SETUP_NOTES asks for: append-only file, never evicting what has no TTL."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder / "redis"
        self._folder.mkdir()
        self.client = redis.Redis.from_url(self.url)
        self.start()

    def start(self) -> None:
        options = [
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
            "--maxmemory-policy",
            "volatile-lru",
        ]
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--logfile", "log"]
        self._process = subprocess.Popen(["redis-server", *place, *options], stdout=subprocess.DEVNULL)
        wait_until(self._is_up, "Redis to start", STARTUP_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def wait_until_open(self) -> None:
        """Until the gateway's counters are rebuilt, and admission has opened."""

        def is_open() -> bool:
            epoch: Any = self.client.hmget(EPOCH, ["opens_ms", "run_id"])
            of_this_life = epoch[1] == self.client.info("server")["run_id"].encode()
            return of_this_life and int(epoch[0]) < time.time() * 1000

        wait_until(is_open, "the counters to be rebuilt")

    def lose_everything(self) -> None:
        shutil.rmtree(self._folder / "appendonlydir")

    def copy(self) -> Path:
        """Its append-only file as it is now, which is what a crash at this moment may leave."""
        copy = self._folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._folder / "appendonlydir", copy)
        return copy

    def go_back_to(self, copy: Path) -> None:
        self.lose_everything()
        shutil.copytree(copy, self._folder / "appendonlydir")

    def _is_up(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


class Stage:
    """Everything that runs. A context manager: at its end all of it is gone, the database too.

    `database_url`: any database of the Postgres server to use; ours is made beside it.
    """

    def __init__(self, database_url: str, *, workers: int = 4) -> None:
        self._server_url = database_url
        self._database = f"exactness_{secrets.token_hex(4)}"
        self.database_url = urlsplit(database_url)._replace(path=f"/{self._database}").geturl()
        self.workers = workers
        self.port, self._provider_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.provider_url = f"http://127.0.0.1:{self._provider_port}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exactness-")))
            server = stack.enter_context(psycopg.connect(self._server_url, autocommit=True))
            server.execute(f"CREATE DATABASE {self._database}")
            stack.callback(server.execute, f"DROP DATABASE IF EXISTS {self._database} WITH (FORCE)")
            self.redis = RedisServer(self._folder)
            stack.callback(self.redis.kill)
            self._environment = self._make_environment()
            self.manage("migrate", "--verbosity", "0")
            self.sql = stack.enter_context(psycopg.connect(self.database_url, autocommit=True))
            self._start_all(stack)
            self._cast = self._start_cast(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _start_all(self, stack: contextlib.ExitStack) -> None:
        python, celery = [sys.executable], [sys.executable, "-m", "celery", "-A", "gateway_project"]
        commands = {
            "provider": [*python, "-m", "benchmarks.exactness.provider", "--port", str(self._provider_port)],
            "web": [*python, "manage.py", "serve", "--port", str(self.port), "--workers", str(self.workers)],
            "worker": [*celery, "worker", "--concurrency", "2", "--without-mingle", "--without-gossip"],
            "beat": [*celery, "beat"],
        }
        self.processes: dict[str, Process] = {}
        for name, command in commands.items():
            self.processes[name] = Process(name, command, self._environment, self._folder)
            stack.callback(self.processes[name].kill)
        wait_until(self._is_ready, "the gateway to be ready", STARTUP_S)

    def _start_cast(self, stack: contextlib.ExitStack) -> "subprocess.Popen[str]":
        """One process makes the cast of all cases: loading Django takes longer than that."""
        command = [sys.executable, "-m", "benchmarks.exactness.cast", f"{self.provider_url}/v1"]
        pipe = subprocess.PIPE
        cast = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdin=pipe, stdout=pipe, text=True)
        stack.callback(cast.communicate)  # it ends with its input
        return cast

    def _make_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return {
            **inherited,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis.url,
            "SECRET_KEY": secrets.token_urlsafe(48),
            "GATEWAY_DATA_DIR": str(self._folder),
            "GATEWAY_DATABASE_POOL": "4",
            # A machine that runs all of this is short of time: Redis, if it is there at all, is waited for.
            "GATEWAY_REDIS_TIMEOUT_MS": "2000",
        }

    def manage(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command of manage.py to its end."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise Stalled(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done

    def make_cast(self, *tenants: dict[str, Any]) -> list[Key]:
        """Make tenants with users and keys, as `cast.py` describes them; returns the keys in their order."""
        asked, answer = self._cast.stdin, self._cast.stdout
        assert asked
        assert answer
        print(json.dumps(tenants), file=asked, flush=True)
        made = answer.readline()
        if not made:
            raise Stalled(f"making the cast failed, with exit code {self._cast.wait(10)}")
        return list(_keys(json.loads(made)))

    @property
    def web_processes(self) -> dict[str, int]:
        """Those that say in Redis that they live: name and pid."""
        found: Any = self.redis.client.zrange(PROCESSES, 0, -1)
        names = [name.decode() for name in found]
        return {name: int(name.rsplit("-", 2)[1]) for name in names}

    def ask_provider(self, path: str, *, post: bool = False) -> Any:
        """JSON from the provider's own routes; None where it says nothing."""
        request = urllib.request.Request(self.provider_url + path, method="POST" if post else "GET")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def _is_ready(self) -> bool:
        for process in self.processes.values():
            if process.popen.poll() is not None:
                raise Stalled(f"{process.name} ended: {process.output}")
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2):
                self.ask_provider("/waiting")
        except OSError:
            return False
        # Each web process says that it lives.
        return len(self.web_processes) >= self.workers


def _keys(tenants: list[dict[str, Any]]) -> Iterator[Key]:
    for tenant in tenants:
        for user in tenant["users"]:
            for key in user["keys"]:
                yield Key(key["key"], key["id"], user["id"], tenant["id"])

"""Web servers as processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx
from django.conf import settings
from django.db import connection

from benchmarks.exactness.stage import free_port
from conftest import wait_until

MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]
STARTUP_S = 30.0
# Each server is told anew which services it has.
OURS = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "GATEWAY_ALLOW_EMBEDDED", "GATEWAY_ENCRYPTION_KEY"}


def url_of_the_test_database() -> str:
    """The URL of the test database, for another process."""
    url, _, options = settings.DATABASE_URL.partition("?")
    return f"{url.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{options}".rstrip("?")


def same_services() -> dict[str, str]:
    """The environment of a process that shares database, Redis and secrets with the test."""
    return {
        "DATABASE_URL": url_of_the_test_database(),
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "GATEWAY_ENCRYPTION_KEY": os.environ.get("GATEWAY_ENCRYPTION_KEY", ""),
    }


class WebProcess:
    """`manage.py serve`; as a context manager it is stopped at the end. `output` is what it has said so far."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *arguments: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"serve-{self.port}.log"
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*MANAGE, "serve", "--port", str(self.port), *arguments],
                env={**inherited, "GATEWAY_DATA_DIR": str(folder), **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        wait_until(self.is_up, f"the server to start: {self.output}", patience_s=STARTUP_S)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(20)

    def kill(self) -> None:
        """Server and workers at once, with no chance to say goodbye."""
        os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def output(self) -> str:
        return self._log.read_text()

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.output
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

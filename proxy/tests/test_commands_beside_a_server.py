"""The commands are processes of their own; beside a running server they share nothing with it but the database."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Installation:
    """A new one on the embedded default, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = str(probe.getsockname()[1])
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}},
            "GATEWAY_DATA_DIR": str(folder),
            "GATEWAY_ALLOW_EMBEDDED": "1",
            "PORT": self.port,
        }

    def manage(self, *arguments: str, text: str = "") -> str:
        """Run a command to its end; what it printed."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(
            command, env=self._environment, input=text, capture_output=True, encoding="utf-8", timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(ROOT / "manage.py"), "serve", "--port", self.port]
        return subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL)

    def ask(self, key: str, model: str) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.post(f"http://127.0.0.1:{self.port}/v1/chat/completions", json=body, headers=headers, timeout=20)

    def is_up(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    new = Installation(tmp_path)
    new.manage("migrate", "--verbosity", "0")
    server = new.serve()
    try:
        wait_until(new.is_up, "the server to start", patience_s=60)
        yield new
    finally:
        server.terminate()
        server.wait(20)


def test_a_running_server_notices_what_the_commands_change(installation: Installation):
    text = """
providers: [{name: house, kind: demo, wire: demo, needs_key: false}]
models: [{name: house/echo, provider: house, upstream_name: echo}]
tenants: [{name: acme, users: [{username: alice, requests_per_minute: null}]}]
"""
    installation.manage("apply_config", "-", text=text)
    key = installation.manage("create_api_key", "--user", "alice", "--name", "laptop", "--expires", "1h").strip()
    wait_until(lambda: installation.ask(key, "house/echo").status_code == 200, "the server to know key and model")
    assert installation.ask(key, "fast").status_code == 404

    installation.manage("apply_config", "-", text="chains: [{name: fast, links: [house/echo]}]")
    wait_until(lambda: installation.ask(key, "fast").status_code == 200, "the server to know the chain")

    assert "name: fast" in installation.manage("export_config")

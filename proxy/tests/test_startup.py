"""`manage.py serve` with something wrong: one line that says what to do, no stack trace."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from benchmarks.exactness.stage import free_port
from proxy.tests.processes import MANAGE, OURS

POSTGRES = {"DATABASE_URL": "postgres://gateway:hunter2@127.0.0.1:1/gateway"}
REDIS = {"REDIS_URL": "redis://:hunter2@127.0.0.1:1/0"}
SECRET = {"SECRET_KEY": "a-secret-key-that-is-only-for-this-test-and-long-enough-1234567890"}
TRYING_OUT = {"GATEWAY_ALLOW_EMBEDDED": "1"}


def serve(folder: Path, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(
        [*MANAGE, "serve", "--port", str(free_port()), *arguments],
        env={**inherited, "GATEWAY_DATA_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "DATABASE_URL alone": ({**POSTGRES, **SECRET}, "Set both DATABASE_URL and REDIS_URL, or neither."),
    "REDIS_URL alone": ({**REDIS, **SECRET}, "Set both DATABASE_URL and REDIS_URL, or neither."),
    "no SECRET_KEY": ({**POSTGRES, **REDIS}, "Set SECRET_KEY to a long random value"),
    "another database": ({**REDIS, **SECRET, "DATABASE_URL": "mysql://gateway:hunter2@db/x"}, "postgres://"),
    "no scheme": ({**POSTGRES, **SECRET, "REDIS_URL": "127.0.0.1:6379"}, "REDIS_URL must be a URL"),
    "no port": ({**POSTGRES, **SECRET, "REDIS_URL": "redis://:hunter2@redis:port/0"}, "REDIS_URL must be a URL"),
    "a number that is none": ({**TRYING_OUT, "GATEWAY_MAX_BODY_MB": "32MB"}, "must be a whole number, not '32MB'"),
    "a switch that is none": ({**TRYING_OUT, "DEBUG": "maybe"}, "DEBUG must be true or false, not 'maybe'"),
    "no data folder": ({**TRYING_OUT, "GATEWAY_DATA_DIR": "/dev/null/x"}, "/dev/null/x is no folder to write into"),
}


@pytest.mark.parametrize("environment, advice", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_wrong_setting_is_one_line(environment: dict[str, str], advice: str, tmp_path: Path):
    ended = serve(tmp_path, environment)
    assert ended.returncode != 0
    [line] = ended.stderr.splitlines()
    assert advice in line
    assert "hunter2" not in ended.stdout + ended.stderr


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_port_in_use_is_named(taken_port: int, tmp_path: Path):
    ended = serve(tmp_path, TRYING_OUT, "--port", str(taken_port))
    assert ended.returncode != 0
    assert f"Cannot listen on 127.0.0.1:{taken_port}: Address already in use." in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


OPTIONS: dict[str, tuple[bool, list[str], str]] = {
    "the embedded default unasked": (False, [], "set GATEWAY_ALLOW_EMBEDDED=1"),
    "two workers on the embedded default": (True, ["--workers", "2"], "The embedded default is one process."),
    "no workers": (True, ["--workers", "0"], "--workers must be at least 1."),
    "a port that is none": (True, ["--port", "70000"], "must be between 1 and 65535"),
    "a host that is none": (True, ["--host", "256.1.1.1"], "Cannot listen on 256.1.1.1"),
}


@pytest.mark.parametrize("allowed, arguments, advice", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_wrong_option_is_refused(allowed: bool, arguments: list[str], advice: str, settings: Any):
    settings.EMBEDDED, settings.DEBUG, settings.GATEWAY_ALLOW_EMBEDDED = True, False, allowed
    with pytest.raises(CommandError, match=re.escape(advice)):
        call_command("serve", *arguments, stdout=StringIO())


START = """
import sys
import django
django.setup()
import gateway_project.asgi, gateway_project.urls, proxy.management.commands.serve
print(*{name.partition(".")[0] for name in sys.modules})
"""
FOR_OTHERS = {"aiohttp", "celery", "fakeredis", "kombu", "litellm", "markdown_it", "numpy", "posthog"}


def test_a_web_process_on_real_services_starts_without_what_others_need():
    environment = {**os.environ, **POSTGRES, **REDIS, **SECRET, "DJANGO_SETTINGS_MODULE": "gateway_project.settings"}
    done = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert {"django", "redis", "uvicorn"} <= imported
    assert not FOR_OTHERS & imported

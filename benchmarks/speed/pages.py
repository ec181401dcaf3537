"""The pages that look at much, at a million usage rows and a hundred thousand comparisons (`benchmarks.pages`)."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.exactness.stage import ROOT, RedisServer

TOO_SLOW = 2
COMMAND = [sys.executable, "-m", "benchmarks.pages"]


def measure_pages(database_url: str) -> Iterator[tuple[str, dict[str, float]]]:
    """(page, {first_ms, p50_ms, worst_ms}) as they are measured: milliseconds until the first byte.

    On a database and a Redis of its own. Pages that are too slow are told like the others; raises CalledProcessError
    where one does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as folder:
        redis = RedisServer(Path(folder))
        environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis.url, "GATEWAY_DATA_DIR": folder}
        asked = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert asked.stdout is not None
            for line in asked.stdout:
                if line.startswith("{"):
                    told = json.loads(line)
                    figures = {"first_ms": told["first_ms"], "p50_ms": told["median_ms"], "worst_ms": told["worst_ms"]}
                    yield _path(told["page"]), figures
            if asked.wait() not in {0, TOO_SLOW}:
                raise subprocess.CalledProcessError(asked.returncode, COMMAND)
        finally:
            asked.kill()
            redis.kill()


def _path(page: str) -> str:
    """Without the identifiers that each run makes anew."""
    parts = urlsplit(page)
    path = "/".join("…" if len(part) > 20 else part for part in parts.path.split("/"))
    query = "&".join(
        f"{name}={'…' if len(value) > 20 else value}"
        for name, _, value in (field.partition("=") for field in parts.query.split("&") if field)
    )
    return f"{path}?{query}" if query else path

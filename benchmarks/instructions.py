"""Count the instructions of a request in a web process: the same within 2 % on a busy machine, where times are not.

    DATABASE_URL=postgres://… python -m benchmarks.instructions [json|hit] [--requests 1920] [--connections 64]

Needs redis-server and valgrind. Prints the count, and where the profile is: `callgrind_annotate --inclusive=yes
--tree=both` shows it, with names inside of the interpreter if its debugging symbols are there (Debian: python3.11-dbg).
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.exactness.stage import ROOT, Process, free_port, wait_until
from benchmarks.speed.load import Ask, ask_bytes
from benchmarks.speed.peers import ours
from benchmarks.speed.processes import Cores
from benchmarks.speed.stage import Stage, is_ready

PROFILE = ROOT / "var" / "bench" / "callgrind.out"
PATIENCE_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=["json", "hit"], default="json", help="hit: from the cache")
    parser.add_argument("--requests", type=int, default=1920)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    if not os.environ.get("DATABASE_URL"):
        parser.error("set DATABASE_URL to a database on the Postgres server to use.")
    PROFILE.parent.mkdir(parents=True, exist_ok=True)
    with Stage(os.environ["DATABASE_URL"], Cores.choose(), with_litellm=False) as stage:
        web, port = start_web(stage)
        try:
            ask = ours(stage).ask()
            ask = Ask(ask.url.replace(f":{stage.port}", f":{port}"), ask.headers, ask.body)
            count = measure(web, ask, arguments.requests, arguments.connections, is_hit=arguments.kind == "hit")
        finally:
            web.kill()
    print(f"{count:,.0f} instructions a request. The profile: {PROFILE.relative_to(ROOT)}.1")


def start_web(stage: Stage) -> tuple[Process, int]:
    port = free_port()
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={PROFILE}"]
    command = [*valgrind, sys.executable, "manage.py", "serve", "--port", str(port)]
    web = Process("valgrind", command, stage.environment, stage.folder)
    wait_until(lambda: is_ready(web, f"http://127.0.0.1:{port}/health/ready"), "the gateway", PATIENCE_S)
    return web, port


def measure(web: Process, ask: Ask, requests: int, connections: int, *, is_hit: bool) -> float:
    """Instructions a request, after as many to warm up. Raises AssertionError for an answer other than 200."""

    def drive(count: int) -> None:
        asyncio.run(_drive(ask, count, connections, is_hit=is_hit))

    drive(requests)
    control(web, "--instr=on")
    drive(connections)  # valgrind translates what runs for the first time
    control(web, "--zero")
    drive(requests)
    control(web, "--instr=off")
    control(web, "--dump")
    totals = re.findall(r"^totals: (\d+)$", Path(f"{PROFILE}.1").read_text(), re.MULTILINE)
    return int(totals[-1]) / requests


def control(web: Process, what: str) -> None:
    subprocess.run(["callgrind_control", what, str(web.popen.pid)], check=True, capture_output=True)


async def _drive(ask: Ask, count: int, connections: int, *, is_hit: bool) -> None:
    await asyncio.gather(*(_call(ask, count // connections, is_hit=is_hit) for _ in range(connections)))


async def _call(ask: Ask, count: int, *, is_hit: bool) -> None:
    host, _, port = ask.url.removeprefix("http://").partition("/")[0].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(count):
        writer.write(ask_bytes(ask, number=0 if is_hit else None))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head[:16], head
        length = re.search(rb"content-length: (\d+)", head)
        assert length, head
        await reader.readexactly(int(length[1]))
    writer.close()


if __name__ == "__main__":
    main()

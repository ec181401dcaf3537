"""Measure the hot path; prints one table, and writes it as JSON and as pictures.

    DATABASE_URL=postgres://… python -m benchmarks.speed [--peers] [--rounds 3] [--only JSON …] [--output FOLDER]

Makes a database of its own on that server and starts a Redis of its own (redis-server, nginx and wrk must be
installed). With --peers it also installs and measures LiteLLM's proxy, ferrogw and Portkey's gateway (needs npm).
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import sysconfig
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.speed import peers, plot
from benchmarks.speed.cases import CASES, Case, Figures, Wrong
from benchmarks.speed.drain import measure_drain
from benchmarks.speed.load import streams, whole
from benchmarks.speed.pages import measure_pages
from benchmarks.speed.peers import FLOORS, PEERS, Server
from benchmarks.speed.processes import Cores
from benchmarks.speed.soak import soak
from benchmarks.speed.stage import Stage
from benchmarks.speed.table import Table, targets

WARM_UP_S = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="measure other gateways, too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="cases whose names contain one of these")
    parser.add_argument("--soak", type=int, default=0, metavar="REQUESTS", help="also watch the memory over so many")
    parser.add_argument("--output", type=Path, default=Path("var/bench/results"), help="default: %(default)s")
    arguments = parser.parse_args()
    if not os.environ.get("DATABASE_URL"):
        parser.error("set DATABASE_URL to a database on the Postgres server to use.")
    cases = [case for case in CASES if not arguments.only or any(word in case.name for word in arguments.only)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # all that was started is ended, then
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.other})
    began = time.monotonic()
    table = Table()
    with Stage(os.environ["DATABASE_URL"], cores) as stage, contextlib.ExitStack() as stack:
        servers = start_servers(stage, stack, with_peers=arguments.peers)
        for start in stage.starts:
            table.add("start-up", "gateway", start)
        warm_up(stage, servers)
        for number in range(arguments.rounds):
            run_round(stage, servers, cases, table, f"round {number + 1} of {arguments.rounds}")
            write(table, arguments.output, machine(), time.monotonic() - began)  # should a later one fail
        if not arguments.only or "drain" in arguments.only:
            table.add("drain", "gateway", measure_drain(stage))
        if arguments.soak:
            table.add("soak", "gateway", soak(stage, servers[0], arguments.soak))
    if not arguments.only or "pages" in arguments.only:
        for page, figures in measure_pages(os.environ["DATABASE_URL"]):
            table.add(f"page {page}", "gateway", figures)
            say(f"{page}: {figures['p50_ms']} ms")
    print(write(table, arguments.output, machine(), time.monotonic() - began))


def start_servers(stage: Stage, stack: contextlib.ExitStack, *, with_peers: bool) -> list[Server]:
    """Ours, the provider itself, the floors, and the peers; all run at once, and are measured in turn."""
    servers = [peers.ours(stage), peers.direct(stage)]
    for peer_class in (*FLOORS, *(PEERS.values() if with_peers else ())):
        say(f"starting {peer_class.name}")
        peer = peer_class(stage)
        peer.install()
        servers.append(peer.start())
        if (process := servers[-1].process) is not None:
            stack.callback(process.kill)
    return servers


def warm_up(stage: Stage, servers: Sequence[Server]) -> None:
    """Whatever a server compiles, imports or connects at its first requests."""
    for server in servers:
        whole(server.ask(), 16, WARM_UP_S, stage.folder)
        streams(server.ask(stream=True), 16, 2)
        if server.name in {"gateway", "litellm"}:  # which imports litellm, if it has not done so yet
            whole(server.ask("claude"), 4, WARM_UP_S, stage.folder)


def run_round(stage: Stage, servers: Sequence[Server], cases: Sequence[Case], table: Table, title: str) -> None:
    for case in cases:
        for server in servers:
            if case.servers is None or server.name in case.servers:
                figures = measured(case, stage, server)
                table.add(case.name, server.name, figures)
                shown = "  ".join(f"{name} {value:,.2f}" for name, value in figures.items())
                say(f"{title}: {case.name}: {server.name}: {shown or 'left out'}")


def measured(case: Case, stage: Stage, server: Server) -> Figures:
    """The case's figures; none of a peer that does not answer as it must: that is said, not hidden in a median."""
    try:
        return case.measure(stage, server)
    except Wrong as wrong:
        if server.name == "gateway":
            raise
        say(f"{case.name}: {wrong}")
        return {}


def write(table: Table, folder: Path, about: dict[str, Any], seconds: float) -> str:
    """Write everything into the folder; returns the tables as text."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {**about, "seconds": round(seconds), "cases": table.document()}
    (folder / "speed.json").write_text(json.dumps(document, indent=1) + "\n")
    judged = "\n".join(["| target | measured | met |", "| --- | ---: | --- |", *map(str, targets(table))])
    text = f"{table.markdown()}\n\n{judged}\n"
    (folder / "speed.md").write_text(text)
    for name, picture in plot.pictures(table):
        (folder / f"{name}.svg").write_text(picture)
    return text


def _is_optimised() -> bool:
    """Built with its own profile. Debian's and Ubuntu's are, but do not say so."""
    told = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    return told or "deb_system" in sysconfig.get_scheme_names()


def machine() -> dict[str, Any]:
    packages = (
        "django",
        "djangorestframework",
        "uvicorn",
        "httptools",
        "uvloop",
        "aiohttp",
        "redis",
        "orjson",
        "litellm",
    )
    return {
        "python": platform.python_version(),
        "optimised_python": _is_optimised(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "versions": {name: version(name) for name in packages},
        "peers": {"litellm": peers.LITELLM, "ferrogw": peers.FERROGW, "portkey": peers.PORTKEY},
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

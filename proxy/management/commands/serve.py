"""The production web server."""

import argparse
import os
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server import Server

# Requests that one worker holds open at once; granian's own default (1024 / workers) would throttle streams.
BACKPRESSURE = 8192
BACKLOG = 4096
HEADER_TIMEOUT_MS = 15_000
STOP_PATIENCE_S = 15


class Command(BaseCommand):
    help = "Serve the gateway (granian, ASGI). On the embedded default it also does what worker and beat would do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=_port, default=5000, help="port to listen on (default: %(default)s)")
        parser.add_argument("--workers", type=int, default=1, help="web processes (default: %(default)s)")

    def handle(self, *args: Any, host: str, port: int, workers: int, **options: Any) -> None:
        if workers < 1:
            raise CommandError("--workers must be at least 1.")
        if settings.EMBEDDED:
            self._check_embedded(workers)
        _check_address(host, port)
        os.environ.setdefault("GATEWAY_WORKERS", str(workers))  # for the settings of the web processes
        plural = "s" if workers > 1 else ""
        self.stdout.write(f"Serving on http://{host}:{port} with {workers} worker{plural}. Stop with Ctrl+C.")
        Server(
            "gateway_project.asgi:application",
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            workers=workers,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
            websockets=False,
            backlog=BACKLOG,
            backpressure=BACKPRESSURE,
            respawn_failed_workers=True,
            workers_kill_timeout=STOP_PATIENCE_S,
            log_access=False,
        ).serve()

    def _check_embedded(self, workers: int) -> None:
        if not settings.DEBUG and not settings.GATEWAY_ALLOW_EMBEDDED:
            raise CommandError(
                "DATABASE_URL and REDIS_URL are not set. Set both for production; to try the gateway out on its "
                "embedded default (SQLite, everything in one process), set GATEWAY_ALLOW_EMBEDDED=1."
            )
        if workers > 1:
            raise CommandError("The embedded default is one process. Set DATABASE_URL and REDIS_URL for more workers.")
        self.stdout.write("Embedded default: SQLite and an in-process Redis, for trying out only, not for production.")


def _check_address(host: str, port: int) -> None:
    """The server itself would end in a panic."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise CommandError(
            f"Cannot listen on {host}:{port}: {reason}. Stop what listens there, or choose another --port."
        ) from error


def _port(value: str) -> int:
    port = int(value)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError("must be between 1 and 65535")
    return port

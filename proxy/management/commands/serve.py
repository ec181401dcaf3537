"""The production web server."""

import argparse
import os
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from proxy.http.server import END_PATIENCE_S, STOP_PATIENCE_S, Server, bind, configuration, leave
from proxy.http.workers import Workers

# For what a stop of the gateway itself may take: comparisons, settlements, connections.
LIFESPAN_PATIENCE_S = 12.0


class Command(BaseCommand):
    help = "Serve the gateway (uvicorn, ASGI). On the embedded default it also does what worker and beat would do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=_port, default=5000, help="port to listen on (default: %(default)s)")
        parser.add_argument("--workers", type=int, default=1, help="web processes (default: %(default)s)")

    def handle(self, *args: Any, host: str, port: int, workers: int, **options: Any) -> None:
        if workers < 1:
            raise CommandError("--workers must be at least 1.")
        if settings.EMBEDDED:
            self._check_embedded(workers)
        if not os.environ.get("GATEWAY_WORKERS"):
            settings.GATEWAY_WORKERS = workers
        listener = _listen(host, port)
        plural = "s" if workers > 1 else ""
        self.stdout.write(f"Serving on http://{host}:{port} with {workers} worker{plural}. Stop with Ctrl+C.")
        self.stdout.flush()  # what is still in the buffer would be written by every worker
        config = configuration("gateway_project.asgi:application")
        config.load()  # once for all workers, which share its memory
        if workers == 1:
            Server(config).run([listener])
            leave()
        listener.close()

        def serve() -> None:
            Server(config, parent=os.getppid()).run([bind(host, port, shared=True)])
            leave()

        Workers(workers, serve, patience_s=STOP_PATIENCE_S + END_PATIENCE_S + LIFESPAN_PATIENCE_S).run()

    def _check_embedded(self, workers: int) -> None:
        if not settings.DEBUG and not settings.GATEWAY_ALLOW_EMBEDDED:
            raise CommandError(
                "DATABASE_URL and REDIS_URL are not set. Set both for production; to try the gateway out on its "
                "embedded default (SQLite, everything in one process), set GATEWAY_ALLOW_EMBEDDED=1."
            )
        if workers > 1:
            raise CommandError("The embedded default is one process. Set DATABASE_URL and REDIS_URL for more workers.")
        self.stdout.write("Embedded default: SQLite and an in-process Redis, for trying out only, not for production.")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
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

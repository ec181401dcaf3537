"""A local server that takes PostHog's batches."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class FakePostHog:
    """`with FakePostHog() as posthog:` keeps every event that arrived in `events`; `status` is what it answers."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 200
        self.answers = threading.Event()  # cleared: it takes a request and stays silent
        self.answers.set()
        fake = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                fake.answers.wait(10)
                if fake.status == 200:
                    fake.events += json.loads(body)["batch"]
                self.send_response(fake.status)
                self.end_headers()
                self.wfile.write(b'{"detail": "as scripted"}')

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()

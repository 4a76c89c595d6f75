"""A backend for what must not be seen: it keeps every byte that it is sent."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Wire:
    """A backend that keeps every byte that it is sent, and refuses everything while `status` says so."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        """What came, with its head."""
        self.bodies: list[bytes] = []
        self.status = 200
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                wire.seen.append(f"{self.requestline}{self.headers}".encode() + body)
                wire.bodies.append(body)
                self.send_response(wire.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

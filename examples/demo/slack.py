"""Stands where Slack would: takes what Alertmanager posts to an incoming webhook, and shows it.

    slack.py [--host HOST] [--port PORT]

    POST /services/…      as Slack's own: answers `ok`; a path that ends in /refused is answered as a webhook that was
                          withdrawn: 404 `no_service`
    GET  /messages        what came, oldest first: [{"path", "time", "message"}], the latest 1,000
    POST /reset           forget them

It prints {"event": "ready", "port": …} once it listens.
"""

import argparse
import http.server
import json
import sys
import time
from collections import deque

LIMIT = 1 << 20
KEPT = 1000


class Slack(http.server.ThreadingHTTPServer):
    """The server and what came to it."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Answer)
        self.messages: deque[dict[str, object]] = deque(maxlen=KEPT)


class Answer(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Slack
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """The messages, or nothing."""
        if self.path == "/messages":
            self._say(200, json.dumps(list(self.server.messages)).encode(), "application/json")
        else:
            self._say(404, b"not found")

    def do_POST(self) -> None:
        """A message, or the order to forget."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > LIMIT:
            self.close_connection = True
            self._say(413, b"too long")
            return
        body = self.rfile.read(length)
        if self.path == "/reset":
            self.server.messages.clear()
            self._say(200, b"ok")
        elif not self.path.startswith("/services/") or self.path.endswith("/refused"):
            self._say(404, b"no_service")
        else:
            self._keep(body)

    def _keep(self, body: bytes) -> None:
        try:
            message = json.loads(body)
        except ValueError:
            self._say(400, b"invalid_payload")
            return
        self.server.messages.append({"path": self.path, "time": time.time(), "message": message})
        self._say(200, b"ok")

    def _say(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """One line on standard error for each request."""
        print(f"slack: {format % args}", file=sys.stderr, flush=True)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="Stands where Slack would.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    server = Slack((options.host, options.port))
    print(json.dumps({"event": "ready", "port": server.server_address[1]}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

"""A model on this machine that always says the same, by OpenAI's and Anthropic's interfaces, and a catcher of exports.

One server for all: the model (`/v1/chat/completions`, `/v1/responses`, `/v1/embeddings`, `/v1/messages`), what takes
spans (any path ending in `/v1/traces`, and OpenAI's `/v1/traces/ingest`), and `/case/<name>`, by which a program says
which case begins. What was used and what was exported is kept by case.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic_shape
import openai_shape
from answers import DATED, EMBEDDING, Usage


@dataclass
class Case:
    """What happened in one case: calls served (as the books count them), OTLP bodies and ingest items as they came."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    exports: list[bytes] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)


class ModelServer(ThreadingHTTPServer):
    """Serves until `shutdown`; `cases` by name in the order in which they began."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.cases: dict[str, Case] = {}
        self.case = Case()
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up when their program ends: that is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def begin(self, name: str) -> None:
        """From here on everything belongs to the case `name`; anything before the first belongs to none."""
        with self.lock:
            self.case = self.cases.setdefault(name, Case()) if name else Case()

    def served(self, provider: str, model: str, usage: Usage, kind: str) -> int:
        """Notes one call that was answered, and gives its number in the case."""
        with self.lock:
            self.case.calls.append({"provider": provider, "model": model, "kind": kind, **asdict(usage)})
            return len(self.case.calls)


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._json(200, {"data": []})

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        path = self.path.split("?")[0]
        if path.startswith("/case/"):
            self.server.begin(path.removeprefix("/case/"))
            self._json(200, {})
        elif path.endswith("/v1/traces"):
            with self.server.lock:
                self.server.case.exports.append(body)
            self._answer(200, b"", "application/x-protobuf")
        elif path.endswith("/v1/traces/ingest"):
            with self.server.lock:
                self.server.case.items.extend(json.loads(body)["data"])
            self._answer(204, b"", "application/json")
        elif path.endswith("/chat/completions"):
            self._model(json.loads(body), openai_shape.chat, openai_shape.chat_stream, "openai")
        elif path.endswith("/responses"):
            self._model(json.loads(body), openai_shape.response, openai_shape.response_stream, "openai")
        elif path.endswith("/messages"):
            self._model(json.loads(body), anthropic_shape.message, anthropic_shape.message_stream, "anthropic")
        elif path.endswith("/embeddings"):
            asked = json.loads(body)
            self.server.served("openai", asked["model"], EMBEDDING, "embedding")
            self._json(200, openai_shape.embedding(asked))
        else:
            self._json(200, {})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _model(self, asked: dict[str, Any], whole: Any, streamed: Any, provider: str) -> None:
        answer = (anthropic_shape if provider == "anthropic" else openai_shape).choose(asked)
        model = DATED.get(asked["model"], asked["model"])
        if answer is None:
            with self.server.lock:
                self.server.case.refused += 1
            self._json(
                400,
                {
                    "type": "error",
                    "error": {
                        "message": "The prompt is too long for this model.",
                        "type": "invalid_request_error",
                        "param": "messages",
                        "code": "context_length_exceeded",
                    },
                },
            )
            return
        number = self.server.served(provider, model, answer.usage, "llm")
        if asked.get("stream"):
            self._events(streamed(asked, model, answer, number))
        else:
            self._json(200, whole(asked, model, answer, number))

    def _json(self, status: int, value: object) -> None:
        self._answer(status, json.dumps(value).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("request-id", "req_corpus")
        self.send_header("x-request-id", "req_corpus")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self, events: Iterator[tuple[str, Any]]) -> None:
        parts = []
        for name, value in events:
            data = value if isinstance(value, str) else json.dumps(value)
            parts.append((f"event: {name}\n" if name else "") + f"data: {data}\n\n")
        self._answer(200, "".join(parts).encode(), "text/event-stream")

"""A model that costs nothing and always says the same: OpenAI's chat completions and responses, over HTTP on localhost.

What it answers depends on what it is asked only: it calls the first tool that has not been called in the conversation,
then hands over where it can, and then answers in words. Each call has 1000 input tokens, 400 of them cached, and 50
output tokens, 10 of them for reasoning.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "gpt-4o-2024-08-06"
INPUT, CACHED, OUTPUT, REASONING = 1000, 400, 50, 10
ANSWER = "It is 12 degrees in Oslo."


def start() -> str:
    """Serve until the process ends; the base URL for a client."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(_response(asked) if self.path.endswith("/responses") else _completion(asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def _completion(asked: dict[str, Any]) -> dict[str, Any]:
    called = {call["function"]["name"] for message in asked["messages"] for call in message.get("tool_calls") or ()}
    left = [tool["function"]["name"] for tool in asked.get("tools") or () if tool["function"]["name"] not in called]
    message: dict[str, Any] = {"role": "assistant", "content": None if left else ANSWER}
    if left:
        arguments = json.dumps({} if left[0].startswith("transfer_to_") else {"city": "Oslo"})
        call = {"id": f"call_{left[0]}", "type": "function", "function": {"name": left[0], "arguments": arguments}}
        message["tool_calls"] = [call]
    return {
        "id": f"chatcmpl-{len(asked['messages'])}",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if left else "stop"}],
        "usage": {
            "prompt_tokens": INPUT,
            "completion_tokens": OUTPUT,
            "total_tokens": INPUT + OUTPUT,
            "prompt_tokens_details": {"cached_tokens": CACHED},
            "completion_tokens_details": {"reasoning_tokens": REASONING},
        },
    }


def _response(asked: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "output_text", "text": ANSWER, "annotations": []}]
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "status": "completed",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": INPUT,
            "output_tokens": OUTPUT,
            "total_tokens": INPUT + OUTPUT,
            "input_tokens_details": {"cached_tokens": CACHED},
            "output_tokens_details": {"reasoning_tokens": REASONING},
        },
    }

"""The agent's bad days: told to, it runs in a loop that nobody stops, and pays for every turn.

Each second one request more that calls the model 150 times, gets 10,000 tokens each time, asks its tool the same 10
times, which fails every time, and gives up after what looks like 20 seconds. So a few seconds of it are enough to see
it in every way that a person might watch for: errors, latency, calls, tokens, dollars, a tool that does not work, a
loop.
"""

import threading
import time
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

CALLS, TOOL_CALLS = 150, 10
TOKENS = 10_000
SECONDS = 20.0
EVERY = 1.0


class Runaway:
    """Requests of one agent that went out of hand, made in a thread of its own while it is told to."""

    def __init__(self, tracer: Tracer, model: str, mark: Callable[[Span], None]) -> None:
        self._tracer, self._model, self._mark = tracer, model, mark
        self._on, self.requests = threading.Event(), 0
        threading.Thread(target=self._work, name="runaway", daemon=True).start()

    def turn(self, on: bool) -> None:
        """Begin, or stop: the request that is being made is the last one."""
        (self._on.set if on else self._on.clear)()

    def _work(self) -> None:
        while self._on.wait():
            self.request()
            self.requests += 1
            time.sleep(EVERY)

    def request(self) -> None:
        """One request, all at once, with times as if it had taken SECONDS."""
        end = time.time_ns()
        begin = end - int(SECONDS * 1e9)
        step = (end - begin) // (CALLS + TOOL_CALLS)
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "weather",
            "gen_ai.conversation.id": f"runaway-{self.requests}",
            "error.type": "TooManyTurns",
        }
        root = self._tracer.start_span("invoke_agent weather", attributes=attributes, start_time=begin)
        within = trace.set_span_in_context(root)
        for number in range(CALLS + TOOL_CALLS):
            called = self._tool_call() if number % (CALLS // TOOL_CALLS) == CALLS // TOOL_CALLS - 1 else self._chat()
            name, kind, more = called
            span = self._tracer.start_span(name, within, kind, more, start_time=begin + number * step)
            if "error.type" in more:
                span.set_status(StatusCode.ERROR, "no answer")
            span.end(begin + (number + 1) * step)
            self._mark(span)
        root.set_status(StatusCode.ERROR, "too many turns")
        root.end(end)
        self._mark(root)

    def _chat(self) -> tuple[str, SpanKind, dict[str, str | int | list[str]]]:
        attributes: dict[str, str | int | list[str]] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.agent.name": "weather",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": self._model,
            "gen_ai.response.model": f"{self._model}-2024-08-06",
            "gen_ai.conversation.id": f"runaway-{self.requests}",
            "gen_ai.response.finish_reasons": ["tool_calls"],
            "gen_ai.usage.input_tokens": 2_000,
            "gen_ai.usage.output_tokens": TOKENS,
        }
        return f"chat {self._model}", SpanKind.CLIENT, attributes

    def _tool_call(self) -> tuple[str, SpanKind, dict[str, str | int | list[str]]]:
        attributes: dict[str, str | int | list[str]] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.agent.name": "weather",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.arguments": '{"city":"Lisbon"}',
            "error.type": "Timeout",
        }
        return "execute_tool get_weather", SpanKind.INTERNAL, attributes

"""What agents send: OTLP requests with OpenTelemetry's attributes for generative AI, and what their calls cost."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from otlp_requests import attributes

SECOND = 1_000_000_000


@dataclass(slots=True)
class Turn:
    """One request to an agent: what it does is told at once, or bit by bit while it goes on."""

    agent: str = "planner"
    conversation: str = ""
    model: str = "gpt-4o"
    trace: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    root: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    asked: int = field(default_factory=time.time_ns)

    def calls(self, count: int, *, sent: int = 1_000, answered: int = 400, seconds: float = 0.5) -> bytes:
        """So many calls of the model, with tokens of input and output each."""
        message, scope = _message()
        for _ in range(count):
            span = self._span(scope, f"chat {self.model}", Span.SPAN_KIND_CLIENT, seconds)
            pairs = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": self.model,
                "gen_ai.usage.input_tokens": sent,
                "gen_ai.usage.output_tokens": answered,
            }
            span.attributes.extend(attributes(pairs | self._own()))
        return message.SerializeToString()

    def tools(self, names: Sequence[str], *, failed: bool = False) -> bytes:
        """One call of each of these tools."""
        message, scope = _message()
        for name in names:
            span = self._span(scope, f"execute_tool {name}", Span.SPAN_KIND_INTERNAL, 0.1)
            pairs = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
            span.attributes.extend(attributes(pairs | self._own()))
            if failed:
                span.status.code = Status.STATUS_CODE_ERROR
        return message.SerializeToString()

    def end(self, seconds: float = 1.0) -> bytes:
        """The request itself, and the agent that has served it."""
        message, scope = _message()
        agent = self._span(scope, f"invoke_agent {self.agent}", Span.SPAN_KIND_INTERNAL, seconds)
        agent.attributes.extend(attributes({"gen_ai.operation.name": "invoke_agent"} | self._own()))
        root = self._span(scope, "POST /chat", Span.SPAN_KIND_SERVER, seconds)
        root.span_id, root.parent_span_id = self.root, b""
        root.attributes.extend(attributes(self._own()))
        return message.SerializeToString()

    def _own(self) -> dict[str, str]:
        conversation = {"gen_ai.conversation.id": self.conversation} if self.conversation else {}
        return {"gen_ai.agent.name": self.agent, **conversation}

    def _span(self, scope: ScopeSpans, name: str, kind: Span.SpanKind.ValueType, seconds: float) -> Span:
        now = time.time_ns()
        return scope.spans.add(
            trace_id=self.trace,
            span_id=secrets.token_bytes(8),
            parent_span_id=self.root,
            name=name,
            kind=kind,
            start_time_unix_nano=now - int(seconds * SECOND),
            end_time_unix_nano=now,
        )


def _message() -> tuple[ExportTraceServiceRequest, ScopeSpans]:
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.extend(attributes({"service.name": "agents"}))
    return message, resource.scope_spans.add()

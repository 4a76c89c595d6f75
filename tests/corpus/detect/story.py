"""Words in which labelled traces are told: each adds a span to a story, in the order in which spans end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SECOND: Final = 1_000_000_000
BEGIN: Final = 1_760_000_000 * SECOND

Value = str | bool | int | list[str]


@dataclass(slots=True)
class Told:
    """One span."""

    name: str
    attributes: dict[str, Value]
    failed: bool
    seconds: float
    trace: int
    kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL
    root: bool = False
    resource: str = "agents"


@dataclass(slots=True)
class Story:
    """What happens in one trace, or in several of one conversation: see `next_trace`."""

    agent: str = "planner"
    model: str = "gpt-4o"
    answered: str = "gpt-4o-2024-08-06"
    provider: str = "openai"
    conversation: str = ""
    spans: list[Told] = field(default_factory=list)
    trace: int = 1

    def chat(
        self,
        sent: int = 1_000,
        said: int = 200,
        *,
        reason: str = "stop",
        seconds: float = 1.0,
        agent: str | None = None,
        times: int = 1,
        **names: str,
    ) -> Story:
        """Calls of the model. `names` may have `model` and `answered`."""
        for _ in range(times):
            call: dict[str, Value] = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": self.provider,
                "gen_ai.request.model": names.get("model", self.model),
                "gen_ai.response.model": names.get("answered", self.answered),
                "gen_ai.usage.input_tokens": sent,
                "gen_ai.usage.output_tokens": said,
                "gen_ai.response.finish_reasons": [reason],
            }
            self._add(f"chat {self.model}", call | self._own(agent), seconds=seconds, kind=Span.SPAN_KIND_CLIENT)
        return self

    def tool(
        self,
        name: str,
        arguments: str | None = None,
        *,
        failed: bool = False,
        agent: str | None = None,
        mcp: bool = False,
        times: int = 1,
    ) -> Story:
        """Calls of a tool; without `arguments`, spans do not say them."""
        said: dict[str, Value] = {} if arguments is None else {"gen_ai.tool.call.arguments": arguments}
        for _ in range(times):
            self._add(
                f"execute_tool {name}",
                {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
                | said
                | ({"mcp.method.name": "tools/call"} if mcp else {})
                | self._own(agent),
                failed=failed,
                seconds=0.3,
                kind=Span.SPAN_KIND_CLIENT if mcp else Span.SPAN_KIND_INTERNAL,
            )
        return self

    def invoke(
        self, agent: str, asked: str | None = None, *, times: int = 1, handoffs: list[str] | None = None
    ) -> Story:
        """An agent that was called, and has ended."""
        said: dict[str, Value] = {} if asked is None else {"gen_ai.input.messages": asked}
        declared: dict[str, Value] = {} if handoffs is None else {"openai.agents.handoffs": handoffs}
        for _ in range(times):
            self._add(
                f"invoke_agent {agent}",
                {"gen_ai.operation.name": "invoke_agent"} | self._own(agent) | said | declared,
                seconds=5.0,
            )
        return self

    def hand_over(self, one: str, other: str) -> Story:
        """As the OpenAI Agents SDK tells it."""
        names: dict[str, Value] = {"openai.agents.from_agent": one, "openai.agents.to_agent": other}
        if self.conversation:
            names["gen_ai.conversation.id"] = self.conversation
        self._add(f"handoff {one} to {other}", {"tracekeeper.kind": "handoff"} | names, seconds=0.01)
        return self

    def plain(self, name: str, *, times: int = 1, failed: bool = False) -> Story:
        """Spans that have nothing to do with agents."""
        for _ in range(times):
            self._add(name, {"http.request.method": "GET"}, failed=failed, seconds=0.1)
        return self

    def end(self) -> Story:
        """The request itself."""
        self._add(
            f"invoke_agent {self.agent}", {"gen_ai.operation.name": "invoke_agent"} | self._own(None), seconds=30.0
        )
        self.spans[-1].root = True
        return self

    def next_trace(self) -> Story:
        """What follows is the next turn of the conversation: a trace of its own."""
        self.trace += 1
        return self

    def _own(self, agent: str | None) -> dict[str, Value]:
        own: dict[str, Value] = {"gen_ai.agent.name": self.agent if agent is None else agent}
        if self.conversation:
            own["gen_ai.conversation.id"] = self.conversation
        return own

    def _add(
        self,
        name: str,
        attributes: dict[str, Value],
        *,
        failed: bool = False,
        seconds: float = 1.0,
        kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
    ) -> None:
        self.spans.append(Told(name, attributes, failed, seconds, self.trace, kind))


def requests(name: str, story: Story, most: int = 64) -> list[bytes]:
    """The story as a pod's SDK would send it: serialised requests of at most so many spans."""
    now, made = BEGIN, []
    for begin in range(0, len(story.spans), most):
        message = ExportTraceServiceRequest()
        resource = message.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = f"agents-{name}"
        scope = resource.scope_spans.add()
        for number, told in enumerate(story.spans[begin : begin + most], begin):
            ids = hashlib.sha256(f"{name} {told.trace}".encode()).digest()
            span = scope.spans.add(
                trace_id=ids[:16],
                span_id=hashlib.sha256(f"{name} span {number}".encode()).digest()[:8],
                parent_span_id=b"" if told.root else ids[16:24],
                name=told.name,
                kind=told.kind,
                start_time_unix_nano=now,
                end_time_unix_nano=now + round(told.seconds * SECOND),
            )
            if told.root:
                span.span_id = ids[16:24]
                span.start_time_unix_nano = now - round(told.seconds * SECOND)
                span.end_time_unix_nano = now
            else:
                now = span.end_time_unix_nano
            if told.failed:
                span.status.code = Status.STATUS_CODE_ERROR
            for key, value in told.attributes.items():
                _set(span.attributes.add(key=key).value, value)
        made.append(message.SerializeToString())
    return made


def _set(to: AnyValue, value: Value) -> None:
    if isinstance(value, bool):
        to.bool_value = value
    elif isinstance(value, int):
        to.int_value = value
    elif isinstance(value, str):
        to.string_value = value
    else:
        for item in value:
            to.array_value.values.add(string_value=item)

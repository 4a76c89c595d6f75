"""What the author of a step sees: spans that can be read, changed and dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from tracekeeper_sidecar.process.custom.attributes import Attributes

KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES: Final = ("unset", "ok", "error")
"""As the condition language calls them, by their numbers in OTLP."""


class Processor:
    """A step. Inherit from it or not: what counts are these two methods."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config` is `custom.config` of the TracingConfig. Raise ValueError with a sentence for people when it is
        wrong: it is shown in /health, and the step is bypassed, or refuses spans, as its `onError` says."""

    def process(self, spans: Sequence[Span]) -> None:
        """Change or drop spans of one request, in place. What it raises counts for the whole request: none of its
        changes holds then. One call at a time, in one thread."""
        raise NotImplementedError


class Event:
    """Something that happened during a span."""

    __slots__ = ("message",)

    def __init__(self, message: trace_pb2.Span.Event) -> None:
        self.message = message
        """The protobuf message."""

    @property
    def name(self) -> str:
        return self.message.name

    @name.setter
    def name(self, name: str) -> None:
        self.message.name = name

    @property
    def time(self) -> int:
        """Unix time in nanoseconds."""
        return self.message.time_unix_nano

    @property
    def attributes(self) -> Attributes:
        return Attributes(self.message.attributes)


class Span:
    """One span, as it came. Ids cannot be changed; what is not here is in `message`."""

    __slots__ = ("_group", "_scope", "dropped", "message")

    def __init__(self, message: trace_pb2.Span, group: Any, scope: Any) -> None:
        """`group` is the ResourceSpans, and `scope` the ScopeSpans that it is in."""
        self.message = message
        """The protobuf message, opentelemetry.proto.trace.v1.Span."""
        self._group, self._scope = group, scope
        self.dropped = False
        """Whether it is to be dropped: answered OK and thrown away."""

    def drop(self) -> None:
        """Answer it OK and throw it away."""
        self.dropped = True

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.message.trace_id.hex()

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return self.message.span_id.hex()

    @property
    def parent_id(self) -> str:
        """16 hexadecimal digits; empty for a root."""
        return self.message.parent_span_id.hex()

    @property
    def name(self) -> str:
        return self.message.name

    @name.setter
    def name(self, name: str) -> None:
        self.message.name = name

    @property
    def kind(self) -> str:
        """One of KINDS; "unspecified" for a number that OpenTelemetry does not define."""
        number = int(self.message.kind)
        return KINDS[number] if 0 <= number < len(KINDS) else KINDS[0]

    @kind.setter
    def kind(self, kind: str) -> None:
        self.message.kind = _number(kind, KINDS, "kind")  # type: ignore[assignment]

    @property
    def status(self) -> str:
        """One of STATUSES; "unset" for a number that OpenTelemetry does not define."""
        number = int(self.message.status.code)
        return STATUSES[number] if 0 <= number < len(STATUSES) else STATUSES[0]

    @status.setter
    def status(self, status: str) -> None:
        self.message.status.code = _number(status, STATUSES, "status")  # type: ignore[assignment]

    @property
    def status_message(self) -> str:
        return self.message.status.message

    @status_message.setter
    def status_message(self, message: str) -> None:
        self.message.status.message = message

    @property
    def start(self) -> int:
        """Unix time in nanoseconds; 0 when it is not known. So is `end`."""
        return self.message.start_time_unix_nano

    @property
    def end(self) -> int:
        return self.message.end_time_unix_nano

    @property
    def duration(self) -> float:
        """Seconds; 0 where start or end is missing, or the end is before the start."""
        return max(0, self.end - self.start) / 1e9 if self.start else 0.0

    @property
    def attributes(self) -> Attributes:
        return Attributes(self.message.attributes)

    @property
    def events(self) -> list[Event]:
        return [Event(event) for event in self.message.events]

    @property
    def resource(self) -> Attributes:
        """Attributes of what it comes from: service, pod, host. Shared with the other spans of the same source in the
        request: a change is seen in all of them."""
        return Attributes(self._group.resource.attributes)

    @property
    def scope(self) -> str:
        """Name of the library that made it."""
        name: str = self._scope.scope.name
        return name

    def __repr__(self) -> str:
        return f"<Span {self.name!r} {self.span_id}>"


def _number(word: str, words: Sequence[str], what: str) -> int:
    if word not in words:
        raise ValueError(f"the {what} of a span is one of {', '.join(words)}, not {word!r}")
    return words.index(word)


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """The spans of a request, in their order."""
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for message in scope.spans:
                yield Span(message, group, scope)


def take_out(request: ExportTraceServiceRequest, spans: Sequence[Span]) -> int:
    """Removes those of `spans`, which are all of the request in their order, that are dropped; with them the scopes and
    sources that have none left. Returns how many they were."""
    gone = sum(span.dropped for span in spans)
    if not gone:
        return 0
    at = len(spans)
    for group in reversed(range(len(request.resource_spans))):
        scopes = request.resource_spans[group].scope_spans
        for scope in reversed(range(len(scopes))):
            inside = scopes[scope].spans
            for place in reversed(range(len(inside))):
                at -= 1
                if spans[at].dropped:
                    del inside[place]
            if not inside:
                del scopes[scope]
        if not scopes:
            del request.resource_spans[group]
    return gone

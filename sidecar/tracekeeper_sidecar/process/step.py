"""What a step is, what it is given, and what it shows of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import inf
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, runtime_checkable

from tracekeeper_sidecar.metrics import Metric

NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})
"""Nothing that the transport said is wanted."""


_NONE: Final[Counter[str]] = Counter()
"""Stays empty. Few requests have anything to count, and a Counter takes half a microsecond to make."""


class Request:
    """One request on its way through the steps, which change it in place. For one step at a time."""

    __slots__ = ("body", "context", "due", "filtered", "now", "problem", "refused", "spans")

    def __init__(
        self, body: bytes, spans: int, now: int = 0, context: Mapping[str, str] = NO_CONTEXT, due: float = inf
    ) -> None:
        self.body = body
        """A serialised ExportTraceServiceRequest that the scanner has accepted."""
        self.spans = spans
        """Spans in it now."""
        self.now = now
        """When it came: Unix time in nanoseconds."""
        self.context = context
        """What the transport said: headers or metadata by their lower-case names, of those that steps want."""
        self.due = due
        """The time of the loop's clock at which its sender should have had an answer."""
        self.filtered = _NONE
        """Spans answered OK and thrown away, by step. To be read: `filter` counts."""
        self.refused = _NONE
        """Spans not stored, by reason. To be read: `refuse` counts."""
        self.problem = ""
        """What the client is told of those that are refused."""

    def filter(self, step: str, body: bytes, gone: int) -> None:
        """`step` has thrown `gone` spans away, which are answered OK; `body` is what is left."""
        self.body = body
        self.spans -= gone
        self.filtered = self.filtered + Counter({step: gone})

    def restore(self, step: str, body: bytes, spans: int) -> None:
        """`step` has failed on the way, and the request goes on as it was before it."""
        self.body, self.spans = body, spans
        self.filtered = Counter({name: gone for name, gone in self.filtered.items() if name != step})

    def refuse(self, reason: str, body: bytes, gone: int, problem: str) -> None:
        """`gone` spans are not stored for this `reason`, and the client is told that with `problem`, a sentence without
        a full stop, by OTLP's partial success; `body` is what is left."""
        self.body = body
        self.spans -= gone
        self.refused = self.refused + Counter({reason: gone})
        self.problem = self.problem or problem


class Sample(NamedTuple):
    """One row of a metric."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class Step(Protocol):
    """One of the config's processors, as it runs. Owned by the receivers' event loop."""

    name: str
    """`processors[].name`."""
    kind: str
    """`processors[].type`."""
    fails_closed: bool
    """What an exception out of `run` does: True: the whole request is refused; False: it goes on as it was before."""
    wants: frozenset[str]
    """Names of headers, in lower case, that it reads from the context."""

    def run(self, request: Request) -> None:
        """Change the request. Bytes that need no change stay the same object."""

    def samples(self) -> Iterable[Sample]:
        """Metrics of its own."""

    def keep(self, older: Step) -> None:
        """Take over what `older` knows, the step of the same name and type that this one replaces."""

    def problems(self) -> Iterable[str]:
        """What is wrong with it at the moment, in words for people, its name not among them; nothing while all is
        well."""

    def close(self) -> None:
        """Let go of what it holds. Nothing is run any more."""


@runtime_checkable
class Detour(Protocol):
    """A step that takes its time: it is started, and calls back."""

    def start(self, request: Request, done: Callable[[Exception | None], None]) -> None:
        """Change the request, and call `done` exactly once, on the event loop, within the step's own time limit and
        before the request is due: with None, or with what has gone wrong. Never raises."""


class Plain:
    """What most steps have in common; a step overrides what it does not have in common with others."""

    fails_closed = False
    wants: frozenset[str] = frozenset()

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind

    def samples(self) -> Iterable[Sample]:
        return ()

    def keep(self, older: Step) -> None:
        pass

    def problems(self) -> Iterable[str]:
        return ()

    def close(self) -> None:
        pass

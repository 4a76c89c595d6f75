"""What became of one send, as a value. Exporters never raise for what a backend does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """The backend has taken the request."""

    rejected: int = 0
    """Spans that it took out and threw away (partial success). OTLP forbids sending them again."""
    message: str = ""
    """What the backend said beside its success: a warning, or why it rejected spans."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The backend has not taken it; the same request may succeed later or elsewhere."""

    reason: str
    after: float | None = None
    """Seconds that the backend asks us to stay away (Retry-After, RetryInfo); None when it names none."""
    throttled: bool = False
    """The backend is well and asks for less. Not a failure for the breaker."""
    suspect: bool = False
    """The answer may blame this very request (500, INTERNAL, …) rather than the backend's health. One that keeps
    drawing such answers while the same backend takes others is poison, and is given up as refused."""
    unsent: bool = False
    """Nothing was sent, because all of our own connections were busy until time was up. It says nothing about the
    backend, and is no attempt: the calls that keep the connections busy speak for it."""
    local: bool = False
    """One of the backend's addresses has failed, while others of them take requests. Not a failure for the breaker."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The backend says that these spans are wrong (400, INVALID_ARGUMENT): sending them again is useless."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The backend calls the request too large: halves of it may pass."""

    reason: str
    certain: bool = True
    """413 says so plainly. RESOURCE_EXHAUSTED without RetryInfo may as well be a rate limit of a backend that does
    not follow the protocol: halves are tried, but a single span is not given up for it (see Retry.suspect)."""
    limit: int | None = None
    """Bytes that it says it takes; None when it names none."""


Single = Sent | Retry | Refused | TooLarge
"""What became of a request that went to one address."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request, itself a serialised ExportTraceServiceRequest."""

    body: bytes
    spans: int
    outcome: Single


@dataclass(frozen=True, slots=True)
class Parts:
    """The request went to several addresses in parts, which together are all of it. What one of them has taken must
    not be sent again because another one has failed."""

    parts: tuple[Part, ...]
    """At least two; those that were taken first."""


Outcome = Single | Parts

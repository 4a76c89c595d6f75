"""The jobs that both sides do in turn, and what is asked of the outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tail import Tail


@dataclass(frozen=True, slots=True)
class Redaction:
    """Both sides mask by the same patterns; ours in turn with each of some pipelines, of processors.py."""

    musts: tuple[tuple[str, float | None], ...]
    """Each pipeline of ours, and how many times the Collector's spans per CPU-second it must reach; None: any."""
    bare: bool = False
    """In every span one value of ten must be masked; else none."""


@dataclass(frozen=True, slots=True)
class Job:
    """A load, and the bounds for what comes of it; None where nothing is asked."""

    name: str
    title: str
    spans: int
    """Spans a request; 0 for a job without any load."""
    in_flight: int
    rate: float = 0.0
    """Spans a second to offer; 0 for all that goes."""
    prompt: int = 0
    """Bytes of prompt in each span."""
    must_ratio: float | None = None
    """At least so many times the Collector's spans per CPU-second."""
    goal_ratio: float | None = None
    must_share: float | None = None
    """At most so much of one core."""
    goal_share: float | None = None
    must_mb: float = 48.0
    """At most so much anonymous memory at the peak."""
    goal_mb: float | None = None
    longer: float = 1.0
    """So many times the seconds that other jobs take: little happens here in a second, or much must have happened."""
    tail: Tail | None = None
    """Both sides sample by the whole trace, and there is one backend; None: they keep everything, and there are two."""
    redaction: Redaction | None = None
    """Both sides redact; None: neither does anything with spans."""
    rootless: bool = False
    """The traces' roots are another program's: with no root to end them, all stay open until their time is up."""


STEADY = (
    Job("512", "512 spans a request, 16 in flight", 512, 16, must_ratio=10, goal_ratio=16),
    Job("50", "50 spans a request, 16 in flight", 50, 16, must_ratio=18, goal_ratio=28),
    Job("1", "1 span a request, 32 in flight", 1, 32, must_ratio=20, goal_ratio=35),
    Job("offered", "50 a request, 30,000 spans/s offered", 50, 16, rate=30_000, must_ratio=14, goal_ratio=20),
    Job("prompts", "50 a request, 4,000-byte prompts", 50, 16, prompt=4000, must_ratio=8, goal_ratio=12),
    Job("pod", "an ordinary pod: 20 requests/s of 10", 10, 16, rate=200, must_share=0.03, goal_share=0.01, longer=2),
    Job("rest", "at rest", 0, 0, must_share=0.002, must_mb=30, goal_mb=20, longer=2),
)
TEN = Tail(10)
OFFERED = Job(
    "tail",
    "tail, 50 a request, 30,000 spans/s offered",
    50,
    16,
    rate=30_000,
    must_ratio=3,
    goal_ratio=5,
    longer=4,
    tail=Tail(10),
)
CLOSED = Job(
    "tail-512",
    "tail, 512 a request, 16 in flight",
    512,
    16,
    must_ratio=5,
    goal_ratio=8,
    must_mb=160,
    longer=2,
    tail=Tail(10),
)
SAMPLED = (OFFERED, CLOSED)


def _redacting(name: str, redact: float, everything: float) -> Job:
    """The steady job of this name once more, with the Collector's `redaction` processor on their side."""
    musts = Redaction((("off", None), ("redact", redact), ("all", everything)))
    return replace(_STEADY[name], name=f"redact-{name}", redaction=musts, must_ratio=None, goal_ratio=None, must_mb=64)


_STEADY = {job.name: job for job in STEADY}
_512 = _redacting("512", 12, 8)
REDACTED = (
    _512,
    _redacting("50", 18, 15),
    _redacting("1", 18, 15),
    _redacting("prompts", 60, 40),
    replace(
        _512,
        name="redact-bare",
        title=f"{_512.title}, one value in ten to be masked",
        redaction=Redaction((("redact", None), ("all", None)), bare=True),
    ),
)
ASIDE = tuple(replace(job, name=f"{job.name}-open", title=f"{job.title}, no roots", rootless=True) for job in SAMPLED)
"""Only when asked for by name."""
SPECIAL = {
    "outage": "p50 and p99 of an export call while a backend is down",
    "limits": "the first three inside 256 MiB and a tenth of a core, and what happens beyond",
    "backlog": "cost per span while a backlog grows to 10 GB, the start with it, the cost of catching up",
}
SPECIAL_ASIDE = {
    "window": "tail sampling with a window of 5 minutes: memory, share of a core, a kill in the middle of it",
    "conditions": "what one more condition costs tail sampling, and ten",
}
EVERY = {job.name: job for job in (*STEADY, *SAMPLED, *REDACTED, *ASIDE)}


def chosen(names: str) -> tuple[list[Job], list[str]]:
    """The jobs of a list like `512,50,backlog`, or of `all`: steady and special ones. Raises ValueError for others."""
    if names == "all":
        return [*STEADY, *REDACTED, *SAMPLED], list(SPECIAL)
    special = SPECIAL | SPECIAL_ASIDE
    asked = names.split(",")
    if unknown := [name for name in asked if name not in EVERY and name not in special]:
        raise ValueError(f"no job {', '.join(unknown)}; there are {', '.join([*EVERY, *special])}")
    return [EVERY[name] for name in asked if name in EVERY], [name for name in asked if name in special]

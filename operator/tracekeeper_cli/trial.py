"""What a sidecar says of a test span: lines while it is on its way, and what to do about what is in the way. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tracekeeper_cli.tables import table
from tracekeeper_cli.terminal import plain
from tracekeeper_proto.control.v1.control_pb2 import TestEntry, TestProgress, TestState

WAITING, DELIVERED, NOT_MATCHED = "Waiting", "Delivered", "NotMatched"
GOOD = frozenset({DELIVERED, NOT_MATCHED})
"""Outcomes with which nothing is wrong."""
STOPPED = "it was stopped; the span goes its way all the same"
NEXT = {
    WAITING: "it is delivered when that can be; `kubectl tracekeeper doctor` and the TracingConfig's status say more",
    "SampledOut": "sampling has left it out all the same: it was overloaded, or the config has changed; try again",
    NOT_MATCHED: "that is what the config asks for: another entry should have it",
    "Dropped": "look at the backend's own log, and at what the sidecar keeps of it: `tracekeeper-sidecar dead-letter "
    "list` in the pod's sidecar",
    "Unclear": "look for the trace in the backend, or send another one while less is sent",
    "Gone": "the config has changed in between: try again",
}


@dataclass(slots=True)
class Report:
    """Of one test span."""

    pod: str = ""
    problem: str = ""
    """Why no more is told."""
    _state: TestState = field(default_factory=TestState)
    _said: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Outcome and words of each entry, as told last."""

    def take(self, progress: TestProgress) -> Iterator[str]:
        """What is new of it."""
        before, state = self._state, progress.state
        if not self.pod:
            yield f"pod {plain(progress.pod)} sends it"
        self.pod, self._state = progress.pod, state
        if state.trace_id and not before.trace_id:
            yield f"trace {state.trace_id.hex()}"
        if state.stored_seconds and not before.stored_seconds:
            yield f"acknowledged after {state.stored_seconds * 1000:.1f} ms: it is on the sidecar's disk"
            if state.sampled:
                yield "the config samples: sampling was told to keep this trace, so it says nothing about the others"
        for entry in state.delivery:
            said = entry.outcome, entry.words
            if self._said.get(entry.name) != said:
                self._said[entry.name] = said
                words = f": {plain(entry.words)}" if entry.words else ""
                yield f"delivery {plain(entry.name)}: {plain(entry.outcome)}{words}"

    @property
    def failed(self) -> bool:
        """Whether it did not come to where it should have come."""
        entries = self._state.delivery
        wrong = not entries or any(entry.outcome not in GOOD for entry in entries)
        delivered = any(entry.outcome == DELIVERED for entry in entries)
        return bool(self.problem or self._state.problem) or wrong or not delivered

    def text(self) -> str:
        """All entries, and the next step for each that has not got it."""
        header = ["DELIVERY", "OUTCOME", "BACKEND", "AFTER"]
        rows: list[list[object]] = [_row(entry) for entry in self._state.delivery]
        parts = [table(header, rows), ""] if rows else []
        return "\n".join([*parts, *self._notes()])

    def _notes(self) -> Iterator[str]:
        state = self._state
        entries = state.delivery
        if entries and not self.failed:
            yield f"it has arrived: look for trace {state.trace_id.hex()} in the backend"
        for entry in entries:
            if entry.outcome != DELIVERED:
                words = f"{plain(entry.words)}; " if entry.words else ""
                yield f"{plain(entry.name)}: {words}{NEXT.get(entry.outcome, 'this command line is older than that')}"
        if entries and all(entry.outcome == NOT_MATCHED for entry in entries):
            yield "no delivery entry takes it: `match` of all of them leaves it out"
        for problem in filter(None, (state.problem, self.problem)):
            yield plain(problem)


def _row(entry: TestEntry) -> list[object]:
    backend = plain(entry.backend) or "-"
    return [plain(entry.name), plain(entry.outcome), backend, f"{entry.seconds:.2f} s"]

"""What the sidecars of a config say about a dump, gathered: lines while it runs, and a table of all of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tracekeeper_cli.tables import table
from tracekeeper_cli.terminal import plain
from tracekeeper_proto.control.v1.control_pb2 import DumpProgress, DumpState

SAY = 2.0
"""Seconds between two lines about one pod."""
EACH = 20
"""Sidecars up to which each has lines of its own; beyond, there are sums, and lines about those that fail."""
STOPPED = "it was stopped"
NOT_TOLD = "the operator was not heard to the end: what became of it is not known"
NOT_ASKED = (
    "it has a sidecar for this config that is not attached to the operator, and was not asked: was it made before the "
    "operator was installed or upgraded? Its /health says more, and `kubectl exec POD -c tracekeeper-sidecar -- "
    "tracekeeper-sidecar dump` works without"
)


@dataclass(slots=True)
class _Row:
    pod: str
    state: DumpState
    said: float


@dataclass(slots=True)
class Report:
    """Of one dump."""

    to: str
    sidecars: int = 0
    problem: str = ""
    """Why the whole did not come to its end."""
    _rows: dict[str, _Row] = field(default_factory=dict)
    """By the pod's UID."""
    _not_asked: list[str] = field(default_factory=list)
    _said: float | None = None

    def take(self, progress: DumpProgress, now: float) -> str:
        """What the operator tells; a line about it, or nothing if there was one just now."""
        self.sidecars = max(self.sidecars, progress.sidecars)
        row = self._rows.get(progress.pod_uid)
        if row is None:
            row = self._rows[progress.pod_uid] = _Row(progress.pod, DumpState(), now)
        row.state = progress.state
        if progress.state.running and (now - row.said < SAY or self.sidecars > EACH):
            return self._sum(now)
        row.said = now
        if not progress.state.running and not progress.state.problem and self.sidecars > EACH:
            return self._sum(now)
        return f"{plain(row.pod)}: {_words(row.state)}"

    def end(self, problem: str = "") -> None:
        """Nothing more is told. What is still under way has stopped, or will."""
        self.problem = problem
        for row in self._rows.values():
            if row.state.running:
                row.state.running, row.state.problem = False, STOPPED if problem == STOPPED else NOT_TOLD

    def expect(self, pods: Iterable[str]) -> None:
        """Pods that have a sidecar of the config, whether or not the operator knows it."""
        asked = {row.pod for row in self._rows.values()}
        self._not_asked = sorted(set(pods) - asked)

    @property
    def failed(self) -> bool:
        """Whether somebody should look at it: a pod or the whole did not do what was asked."""
        wrong = any(row.state.problem or row.state.not_taken for row in self._rows.values())
        return bool(self.problem or wrong or self._not_asked)

    def text(self) -> str:
        """All pods, a sum, and what went wrong."""
        rows = sorted(self._rows.values(), key=lambda row: (row.pod, row.said))
        header = ["POD", "RESULT", "SENT", "LOOKED AT", "KEPT BEFORE", "NOT KNOWN", "REFUSED", "LEFT"]
        cells: list[list[object]] = []
        for row in rows:
            s = row.state
            counts = [s.sent, s.looked_at, s.sent_before, s.not_known, s.not_taken, s.left]
            cells.append([plain(row.pod), "failed" if s.problem or s.not_taken else "done", *counts])
        cells += [[plain(pod), "not asked", *["-"] * 6] for pod in self._not_asked]
        parts = [table(header, cells)] if cells else []
        return "\n".join([*parts, "", self._summary(), *self._notes(rows)])

    def _summary(self) -> str:
        states = [row.state for row in self._rows.values()]
        sent, seen = sum(s.sent for s in states), sum(s.looked_at for s in states)
        return f"{sent} spans were sent to {self.to!r} by {_count(len(states))}, of {seen} that were looked at"

    def _notes(self, rows: list[_Row]) -> Iterable[str]:
        if kept := sum(row.state.sent_before for row in rows):
            yield f"{kept} match, and sampling has kept them: they were not sent again"
        if forgotten := sum(row.state.not_known for row in rows):
            yield (
                f"{forgotten} match, and what was decided about their traces is not known (any more): they may have "
                "been delivered; --forgotten sends them, too"
            )
        for row in rows:
            if row.state.problem:
                yield f"{plain(row.pod)}: {plain(row.state.problem)}"
            elif row.state.not_taken:
                yield f"{plain(row.pod)}: {row.state.not_taken} were refused by the backend; its /health says why"
        if self._not_asked:
            yield f"{', '.join(plain(pod) for pod in self._not_asked)}: {NOT_ASKED}"
        if self.problem:
            yield f"it ended early: {plain(self.problem)}"

    def _sum(self, now: float) -> str:
        """A line about all of them, where there are too many for one each."""
        if self.sidecars <= EACH or (self._said is not None and now - self._said < SAY):
            return ""
        self._said = now
        states = [row.state for row in self._rows.values()]
        done, left = sum(not s.running for s in states), sum(s.left for s in states)
        return f"{done} of {_count(self.sidecars)} done: {sum(s.sent for s in states)} spans sent, {left} to look at"


def _words(state: DumpState) -> str:
    if state.running:
        return f"{state.sent} spans sent, {state.left} to look at"
    return f"failed: {plain(state.problem)}" if state.problem else f"done: {state.sent} spans sent"


def _count(sidecars: int) -> str:
    return f"{sidecars} sidecar{'' if sidecars == 1 else 's'}"

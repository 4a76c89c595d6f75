"""One dump, carried out by all sidecars of a config: who has been asked, how far each is, who will not answer any more.

Nothing here waits: its owner has it look around again and again, and tells it what sidecars say.

    waits ──a turn is free──▶ asked ──first word──▶ at work ──last word──▶ ended
                               │ 15 s without a word      │ silence, its time, or its stream ended
                               └──────────────────────────┴────────────────────────────────────▶ ended, with a problem
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tracekeeper_proto.control.v1 import control_pb2 as pb

from .tokens import PodIdentity

AT_ONCE = 100
"""Sidecars that send at the same time: their backend has others to serve."""
ANSWER = 15.0
"""Seconds within which a sidecar says its first word."""
SILENCE = 30.0
"""Seconds that may pass between two words: far more than it waits between two reports."""
REPORT_EVERY = 1.0
LONGEST_PROBLEM = 1000
"""Characters of what a sidecar says is wrong."""
GRACE = 10.0
"""Seconds beyond its time that a sidecar may take to say what became of it."""

GONE = (
    "the connection to its sidecar is gone: the pod has ended, or the network fails, or another config applies to it "
    "now; it has stopped, and what it sent until then is in the backend"
)
LEFT_ALONE = "its turn did not come in time: nothing was looked at; ask again with a longer timeout"
SILENT = f"its sidecar has not answered in {ANSWER:g} s: it may be too old to know dumps, or hang; its log tells more"
FALLEN_SILENT = f"its sidecar has said nothing for {SILENCE:g} s: it may hang; its log and /dump tell more"
NOT_ENDED = "time was up, and its sidecar has not said what became of it"


class Sidecar(Protocol):
    """One stream."""

    @property
    def identity(self) -> PodIdentity: ...

    def send(self, message: pb.ToSidecar) -> None:
        """Never waits; to a stream that has ended, nothing happens."""


@dataclass(slots=True)
class _Member:
    sidecar: Sidecar
    state: pb.DumpState
    asked: float | None = None
    """Seconds on the clock; None while it waits for its turn."""
    heard: float | None = None
    changed: bool = True

    @property
    def at_work(self) -> bool:
        return self.asked is not None and self.state.running


class Dumping:
    """Owned by the event loop of the control server."""

    def __init__(self, name: str, asked: pb.DumpRequest, now: float) -> None:
        self.name = name
        self._asked, self._begun = asked, now
        self._end = now + asked.timeout_seconds
        self._members: dict[str, _Member] = {}
        self._waiting: deque[_Member] = deque()
        self._at_work = 0

    @property
    def sidecars(self) -> int:
        """How many have been found."""
        return len(self._members)

    @property
    def done(self) -> bool:
        return not any(member.state.running for member in self._members.values())

    @property
    def sent(self) -> int:
        """Spans."""
        return sum(member.state.sent for member in self._members.values())

    @property
    def failed(self) -> int:
        """Sidecars."""
        return sum(bool(member.state.problem) for member in self._members.values())

    def look(self, attached: Iterable[Sidecar], now: float) -> None:
        """Ask those that are new or whose turn it is, and give up those that are gone or silent."""
        present = set()
        for sidecar in attached:
            present.add(id(sidecar))
            if sidecar.identity.uid not in self._members:
                member = _Member(sidecar, pb.DumpState(id=self.name, running=True))
                self._members[sidecar.identity.uid] = member
                self._waiting.append(member)
        for member in self._members.values():
            if member.state.running:
                problem = GONE if id(member.sidecar) not in present else self._overdue(member, now)
                if problem:
                    self._give_up(member, problem)
        self._ask(now)

    def take(self, sidecar: Sidecar, state: pb.DumpState, now: float) -> None:
        """What a sidecar says. One that was given up, or was not asked, is not listened to."""
        member = self._members.get(sidecar.identity.uid)
        if member is None or member.sidecar is not sidecar or not member.at_work:
            return
        state.problem = state.problem[:LONGEST_PROBLEM]
        member.state, member.heard, member.changed = state, now, True
        if not state.running:
            self._at_work -= 1

    def news(self) -> list[pb.DumpProgress]:
        """What has changed since the last call."""
        told = []
        for member in self._members.values():
            if member.changed:
                member.changed = False
                who, count = member.sidecar.identity, len(self._members)
                told.append(pb.DumpProgress(pod=who.pod, pod_uid=who.uid, state=member.state, sidecars=count))
        return told

    def stop(self) -> None:
        """End it wherever it is under way."""
        for member in self._members.values():
            if member.at_work:
                self._say_stop(member)

    def _overdue(self, member: _Member, now: float) -> str:
        if member.asked is None:
            return LEFT_ALONE if now >= self._end else ""
        if member.heard is None and now - member.asked >= ANSWER:
            return SILENT
        if member.heard is not None and now - member.heard >= SILENCE:
            return FALLEN_SILENT
        return NOT_ENDED if now >= self._end + GRACE else ""

    def _give_up(self, member: _Member, problem: str) -> None:
        if member.at_work:
            self._at_work -= 1
            self._say_stop(member)
        state = pb.DumpState()
        state.CopyFrom(member.state)
        state.running, state.problem = False, problem
        member.state, member.changed = state, True

    def _ask(self, now: float) -> None:
        while self._waiting and self._at_work < AT_ONCE:
            member = self._waiting.popleft()
            if not member.state.running:
                continue
            asked, late = self._asked, now - self._begun
            command = pb.DumpCommand(
                id=self.name,
                since_seconds=asked.since_seconds + late,
                where=asked.where,
                backend=asked.backend,
                forgotten=asked.forgotten,
                timeout_seconds=self._end - now,
                report_every_seconds=REPORT_EVERY,
            )
            member.asked = now
            self._at_work += 1
            member.sidecar.send(pb.ToSidecar(dump=command))

    def _say_stop(self, member: _Member) -> None:
        member.sidecar.send(pb.ToSidecar(dump_stop=pb.DumpStop(id=self.name)))

"""One dump, carried out by all sidecars of a config: who has been asked, how far each is, who will not answer any more.

Nothing here waits: its owner has it look around again and again, and tells it what sidecars say.

    waits ──a turn is free──▶ asked ──first word──▶ at work ──last word──▶ ended
                               │ 15 s without a word   │ 30 s of silence, 20 s without a stream, its time
                               └───────────────────────┴───────────────────────────────────▶ ended, with a problem
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tracekeeper_proto.control.v1 import control_pb2 as pb

from .errand import Sidecar

AT_ONCE = 100
"""Sidecars that send at the same time: their backend has others to serve."""
ANSWER = 15.0
"""Seconds within which a sidecar says its first word."""
ASK_AGAIN = 10.0
"""Seconds of silence after which a sidecar is asked how far it is: what it said may have been lost."""
AWAY = 20.0
"""Seconds that a sidecar may take to come back by another stream."""
SILENCE = 30.0
"""Seconds that may pass between two words: far more than it waits between two reports."""
REPORT_EVERY = 1.0
LONGEST_PROBLEM = 1000
"""Characters of what a sidecar says is wrong."""
GRACE = 10.0
"""Seconds beyond its time that a sidecar may take to say what became of it."""

GONE = (
    f"the connection to its sidecar has been gone for {AWAY:g} s: the pod has ended, or the network fails, or another "
    "config applies to it now; what it sent until then is in the backend, and it stops by itself"
)
LEFT_ALONE = "its turn did not come in time: nothing was looked at; ask again with a longer timeout"
SILENT = f"its sidecar has not answered in {ANSWER:g} s: it may be too old to know dumps, or hang; its log tells more"
FALLEN_SILENT = f"its sidecar has said nothing for {SILENCE:g} s: it may hang; its log and /dump tell more"
NOT_ENDED = "time was up, and its sidecar has not said what became of it"


@dataclass(slots=True)
class _Member:
    sidecar: Sidecar
    state: pb.DumpState
    asked: float | None = None
    """When last, in seconds on the clock; None while it waits for its turn."""
    heard: float | None = None
    """When it last said something, or was first asked by the stream that it has now."""
    answered: bool = False
    lost: float | None = None
    """When its stream was first seen to be gone."""
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
        """By the pod's UID."""
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
        """Ask those that are new or back or whose turn it is, and give up those that are gone or silent."""
        present = {sidecar.identity.uid: sidecar for sidecar in attached}
        for uid, sidecar in present.items():
            if uid not in self._members:
                member = self._members[uid] = _Member(sidecar, pb.DumpState(id=self.name, running=True))
                self._waiting.append(member)
        for uid, member in self._members.items():
            if member.state.running:
                self._follow(member, present.get(uid), now)
                if problem := self._overdue(member, now):
                    self._give_up(member, problem)
                elif member.at_work and member.lost is None and now - (member.asked or 0.0) >= ASK_AGAIN:
                    if now - (member.heard or 0.0) >= ASK_AGAIN:
                        self._ask(member, now)
        while self._waiting and self._at_work < AT_ONCE:
            member = self._waiting.popleft()
            if member.state.running:
                member.heard = now
                self._at_work += 1
                self._ask(member, now)

    def take(self, sidecar: Sidecar, state: pb.DumpState, now: float) -> None:
        """What a sidecar says. One that was given up, or was not asked, is not listened to."""
        member = self._members.get(sidecar.identity.uid)
        if member is None or member.sidecar is not sidecar or not member.at_work:
            return
        state.problem = state.problem[:LONGEST_PROBLEM]
        member.state, member.heard, member.answered, member.changed = state, now, True, True
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

    def _follow(self, member: _Member, sidecar: Sidecar | None, now: float) -> None:
        """Streams end while a dump goes on: their tokens expire. The sidecar is asked again by the next one, and knows
        that it has been asked before, unless it has begun anew itself."""
        if sidecar is None:
            member.lost = now if member.lost is None else member.lost
            return
        member.lost = None
        if sidecar is not member.sidecar:
            member.sidecar = sidecar
            if member.at_work:
                member.heard = now
                self._ask(member, now)

    def _overdue(self, member: _Member, now: float) -> str:
        if member.lost is not None:
            return GONE if now - member.lost >= AWAY else ""
        if member.asked is None:
            return LEFT_ALONE if now >= self._end else ""
        if now >= self._end + GRACE:
            return NOT_ENDED
        silent = now - (member.heard or 0.0)
        if not member.answered:
            return SILENT if silent >= ANSWER else ""
        return FALLEN_SILENT if silent >= SILENCE else ""

    def _give_up(self, member: _Member, problem: str) -> None:
        if member.at_work:
            self._at_work -= 1
            self._say_stop(member)
        state = pb.DumpState()
        state.CopyFrom(member.state)
        state.running, state.problem = False, problem
        member.state, member.changed = state, True

    def _ask(self, member: _Member, now: float) -> None:
        member.asked = now
        asked, late = self._asked, now - self._begun
        command = pb.DumpCommand(
            id=self.name,
            since_seconds=asked.since_seconds + late,
            where=asked.where,
            backend=asked.backend,
            forgotten=asked.forgotten,
            timeout_seconds=max(1.0, self._end - now),
            report_every_seconds=REPORT_EVERY,
        )
        member.sidecar.send(pb.ToSidecar(dump=command))

    def _say_stop(self, member: _Member) -> None:
        member.sidecar.send(pb.ToSidecar(dump_stop=pb.DumpStop(id=self.name)))

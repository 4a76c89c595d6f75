"""One tap, by some of a config's sidecars: what they show, until it is enough. Nothing here waits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from tracekeeper_proto.control.v1 import control_pb2 as pb

from .errand import LONGEST_TEXT, Errand, Sidecar

MOST_WAITING = 8 << 20
"""Bytes that wait to be told; spans that come beyond are passed over."""
ENTRY = 1024
"""Bytes for which each message of those counts beside its own."""


class Tapping:
    """Owned by the event loop of the control server."""

    def __init__(self, name: str, asked: pb.TapRequest, sidecars: Sequence[Sidecar], attached: int, now: float) -> None:
        """`attached` is of how many these were chosen."""
        self.name, self.shown = name, 0
        """Spans."""
        self._most, self._attached = asked.spans, attached
        self._errands = {each.identity.uid: Errand(each, now, now + asked.seconds) for each in sidecars}
        self._states = {uid: pb.TapState(id=name, running=True) for uid in self._errands}
        """What each has said last, without spans."""
        self._passed = dict.fromkeys(self._errands, 0)
        """Spans of each that were passed over here."""
        self._news: OrderedDict[str | int, pb.TapProgress] = OrderedDict()
        """What waits to be told: messages with spans by their number, and by UID the last one of each without."""
        self._numbered = self._waiting = 0
        command = pb.TapCommand(id=name, spans=asked.spans, seconds=asked.seconds, where=asked.where)
        for uid, errand in self._errands.items():
            self._tell(uid, self._states[uid])
            errand.sidecar.send(pb.ToSidecar(tap=command))

    @property
    def sidecars(self) -> int:
        """That were asked."""
        return len(self._errands)

    @property
    def done(self) -> bool:
        """Whether nothing more is to be shown."""
        return self.shown >= self._most or not any(each.running for each in self._errands.values())

    def look(self, attached: Iterable[Sidecar], now: float) -> None:
        """Give up those that are gone or silent."""
        present = set(map(id, attached))
        for uid, errand in self._errands.items():
            if errand.look(id(errand.sidecar) in present, now):
                state = pb.TapState()
                state.CopyFrom(self._states[uid])
                state.running, state.problem = False, errand.problem
                self._states[uid] = state
                self._tell(uid, state)
                self._end(errand)

    def take(self, sidecar: Sidecar, state: pb.TapState) -> None:
        """What a sidecar says. One that was given up, or was not asked, is not listened to."""
        uid = sidecar.identity.uid
        errand = self._errands.get(uid)
        if errand is None or errand.sidecar is not sidecar or not errand.running or self.shown >= self._most:
            return
        state.problem = state.problem[:LONGEST_TEXT]
        errand.answered, errand.running = True, state.running
        said = pb.TapState()
        said.CopyFrom(state)
        if state.request and self._waiting + _cost(state) > MOST_WAITING:
            self._passed[uid] += state.spans
            said.request = b""
        if not said.request:
            said.spans = 0
        said.passed_over += self._passed[uid]
        self.shown += said.spans
        self._tell(uid, said)
        # Made from its numbers: what is cleared in a message stays in memory as long as that does.
        self._states[uid] = pb.TapState(
            id=said.id,
            running=said.running,
            problem=said.problem,
            looked_at=said.looked_at,
            matched=said.matched,
            passed_over=said.passed_over,
            too_large=said.too_large,
        )

    def news(self) -> Iterator[pb.TapProgress]:
        """What has come since the last call. Each counts as waiting until it is taken."""
        for _ in range(len(self._news)):
            key, progress = self._news.popitem(last=False)
            if isinstance(key, int):
                self._waiting -= _cost(progress.state)
            yield progress

    def stop(self) -> None:
        """End it wherever it is under way."""
        for errand in self._errands.values():
            if errand.running:
                self._end(errand)

    def _tell(self, uid: str, state: pb.TapState) -> None:
        who = self._errands[uid].sidecar.identity
        counts = {"sidecars": len(self._errands), "attached": self._attached}
        progress = pb.TapProgress(pod=who.pod, pod_uid=uid, state=state, **counts)
        self._news.pop(uid, None)  # What is newer says the same of more.
        if not state.request:
            self._news[uid] = progress
            return
        self._numbered += 1
        self._waiting += _cost(state)
        self._news[self._numbered] = progress

    def _end(self, errand: Errand) -> None:
        errand.sidecar.send(pb.ToSidecar(tap_stop=pb.TapStop(id=self.name)))


def _cost(state: pb.TapState) -> int:
    return state.ByteSize() + ENTRY

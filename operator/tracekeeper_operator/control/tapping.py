"""One tap, by some of a config's sidecars: what they show, until it is enough. Nothing here waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tracekeeper_proto.control.v1 import control_pb2 as pb

from .errand import LONGEST_TEXT, Errand, Sidecar

MOST_WAITING = 8 << 20
"""Bytes that wait to be told; what comes beyond is passed over."""


class Tapping:
    """Owned by the event loop of the control server."""

    def __init__(self, name: str, asked: pb.TapRequest, sidecars: Sequence[Sidecar], attached: int, now: float) -> None:
        """`attached` is of how many these were chosen."""
        self.name, self.shown = name, 0
        """Spans."""
        self._most, self._attached = asked.spans, attached
        self._errands = {each.identity.uid: Errand(each, now, now + asked.seconds) for each in sidecars}
        self._states = {uid: pb.TapState(id=name, running=True) for uid in self._errands}
        """What each has said last."""
        self._news: list[pb.TapProgress] = []
        self._waiting = 0
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
                state.running, state.problem, state.request, state.spans = False, errand.problem, b"", 0
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
        if self._waiting + len(state.request) > MOST_WAITING:
            state.passed_over += state.spans
            state.request, state.spans = b"", 0
        self.shown += state.spans
        self._states[uid] = state
        self._tell(uid, state)

    def news(self) -> list[pb.TapProgress]:
        """What has come since the last call."""
        news, self._news, self._waiting = self._news, [], 0
        return news

    def stop(self) -> None:
        """End it wherever it is under way."""
        for errand in self._errands.values():
            if errand.running:
                self._end(errand)

    def _tell(self, uid: str, state: pb.TapState) -> None:
        who = self._errands[uid].sidecar.identity
        self._waiting += len(state.request)
        counts = {"sidecars": len(self._errands), "attached": self._attached}
        self._news.append(pb.TapProgress(pod=who.pod, pod_uid=uid, state=state, **counts))

    def _end(self, errand: Errand) -> None:
        errand.sidecar.send(pb.ToSidecar(tap_stop=pb.TapStop(id=self.name)))

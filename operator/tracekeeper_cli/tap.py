"""What sidecars say of a tap, gathered: what was shown, what was not, and why it ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tracekeeper_cli.terminal import plain
from tracekeeper_proto.control.v1.control_pb2 import TapProgress, TapState

STOPPED = "it was stopped"


@dataclass(slots=True)
class Report:
    """Of one tap."""

    most: int
    """Spans to show."""
    shown: int = 0
    sidecars: int = 0
    attached: int = 0
    problem: str = ""
    """Why the whole did not come to its end."""
    _states: dict[str, tuple[str, TapState]] = field(default_factory=dict)
    """Name of the pod and what it has said last, by its UID."""

    def take(self, progress: TapProgress) -> int:
        """How many of its spans are to be shown."""
        self.sidecars, self.attached = progress.sidecars, progress.attached
        self._states[progress.pod_uid] = progress.pod, progress.state
        show = min(progress.state.spans, self.most - self.shown)
        self.shown += show
        return show

    @property
    def failed(self) -> bool:
        """Whether somebody should look at it: a sidecar or the whole did not do what was asked."""
        return bool(self.problem) or any(state.problem for _, state in self._ended)

    @property
    def _ended(self) -> list[tuple[str, TapState]]:
        return [(pod, state) for pod, state in self._states.values() if not state.running]

    def text(self) -> str:
        """What was not shown, and what follows from that."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        states = [state for _, state in self._states.values()]
        of = f" of {self.attached} that are attached" if self.attached > self.sidecars else ""
        sidecars = f"{self.sidecars} sidecar{'' if self.sidecars == 1 else 's'}{of}"
        yield f"{self.shown} spans shown, as {sidecars} stored them; sampling may still leave some of them out"
        looked_at, matched = sum(s.looked_at for s in states), sum(s.matched for s in states)
        if matched < looked_at:
            yield f"{looked_at - matched} spans of {looked_at} do not match --where"
        if passed_over := sum(s.passed_over for s in states):
            yield f"{passed_over} spans came faster than a tap looks, and were passed over"
        if too_large := sum(s.too_large for s in states):
            yield f"{too_large} spans were larger than 1 MiB, and are not shown"
        if not (self.shown or looked_at or passed_over or self.failed):
            yield (
                "no span came in that time: `kubectl tracekeeper send-test-span` shows whether the way behind the "
                "sidecar works, and `kubectl tracekeeper doctor` why an application may send nothing"
            )
        for pod, state in sorted(self._ended, key=lambda each: each[0]):
            if state.problem:
                yield f"{plain(pod)}: {plain(state.problem)}"
        if self.problem:
            yield f"it ended early: {plain(self.problem)}"

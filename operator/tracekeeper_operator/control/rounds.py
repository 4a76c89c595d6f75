"""What the control server does on its own, whoever says what: divides targets, tells parts, passes decisions on."""

from __future__ import annotations

import asyncio

from tracekeeper_proto.control.v1 import control_pb2 as pb

from ..clock import Clock
from ..metrics import ControllerMetrics
from .attach import Attach, report_every
from .attached import Attached
from .circle import Circle
from .circles import Circles
from .groups import Answer

TICK = 0.05
"""Seconds."""
DIVIDE_EVERY = 0.5
"""Seconds."""
AT_ONCE = 50
"""Sidecars that are told of decisions without a pause."""
PAUSE = 0.01
"""Seconds; so that no more than 5,000 are told in a second, and others have their turn."""
HELLO_WITHIN = 60.0
"""Seconds. When thousands come at a time it takes a while until each has been listened to; whoever is sent away for
that comes back, and it takes longer."""
CLOSE = 0.03
"""Share by which a part may differ from what was told last, and not be told for a while."""
TELL_WITHIN = 15.0
"""Seconds after which a part is told whether it has changed or not: sidecars hold on to it for 90."""
LATE = 0.25
"""Seconds by which a round may begin too late. Then there is more to do than can be done, and who comes is listened to
before anybody is told of what has changed."""
LONGEST_HOLD = 2.0
"""Seconds for which nobody is told for that reason."""
LEAST_PUSHES = 25
"""Sidecars that are told within DIVIDE_EVERY although they have not reported."""


class Rounds:
    """Owned by the event loop of the control server. `settle`: seconds at the beginning in which no parts are told."""

    def __init__(
        self, attach: Attach, circles: Circles, clock: Clock, metrics: ControllerMetrics, settle: float
    ) -> None:
        self._attach, self._circles, self._clock, self._metrics = attach, circles, clock, metrics
        self._settle = settle
        self._telling: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled."""
        settled = self._clock.monotonic() + self._settle
        self._attach.hurry = self._settle <= 0.0
        divided = told = float("-inf")
        due = float("inf")
        try:
            while True:
                now = self._clock.monotonic()
                late = now > due + LATE
                self._tell_decisions(now)
                if now - divided >= DIVIDE_EVERY:
                    divided = now
                    self._attach.sweep(HELLO_WITHIN)
                    self._circles.refresh(now)
                    self._metrics.control_groups.set(len(self._circles))
                    if now >= settled:
                        self._attach.hurry = True
                        if not late or now - told >= LONGEST_HOLD:
                            told = now
                            self._tell_parts(now, alone=late)
                due = self._clock.monotonic() + TICK
                await asyncio.sleep(TICK)
        finally:
            for task in self._telling:
                task.cancel()
            await asyncio.gather(*self._telling, return_exceptions=True)

    def _tell_parts(self, now: float, *, alone: bool) -> None:
        """To whoever has reported, and unless these `alone` to some whose answer does not hold any more."""
        pushes = max(LEAST_PUSHES, int(DIVIDE_EVERY * len(self._attach) / report_every(len(self._attach))))
        for circle in self._circles:
            if circle.group is None:
                continue
            for pod in circle.group.due(0 if alone else pushes):
                answer = circle.group.answer(pod)
                attached = circle.attached.get(pod)
                if attached is not None:
                    self._tell_part(attached, answer, now)

    def _tell_part(self, attached: Attached, answer: Answer, now: float) -> None:
        self._attach.welcome(attached)
        told = attached.told
        if told is not None and now - attached.told_at < TELL_WITHIN and _close(told, answer):
            return
        attached.told, attached.told_at = answer, now
        share = pb.Share(traces_per_second=answer.traces_per_second, sidecars=answer.sidecars, floor=answer.floor)
        attached.send_share(pb.ToSidecar(share=share).SerializeToString())
        self._metrics.control_messages.labels("out", "share").inc()

    def _tell_decisions(self, now: float) -> None:
        for circle in self._circles:
            self._count(circle)
            if not circle.telling and circle.spread.due(now, len(circle.attached)):
                since = circle.spread.since
                data = circle.spread.take(now, len(circle.attached), len(self._attach))
                circle.telling = True
                task = asyncio.get_running_loop().create_task(self._tell_all(circle, data, since))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

    async def _tell_all(self, circle: Circle, data: bytes, since: float) -> None:
        try:
            for number, attached in enumerate(list(circle.attached.values()), 1):
                attached.send_bytes(data)
                if number % AT_ONCE == 0:
                    await asyncio.sleep(PAUSE)
            self._metrics.control_messages.labels("out", "kept").inc(len(circle.attached))
            self._metrics.control_spread_seconds.observe(self._clock.monotonic() - since)
        finally:
            circle.telling = False

    def _count(self, circle: Circle) -> None:
        counts = circle.spread.counts
        for result in ("told", "repeated", "dropped"):
            if number := getattr(counts, result):
                self._metrics.control_decisions.labels(result).inc(number)
                setattr(counts, result, 0)


def _close(told: Answer, answer: Answer) -> bool:
    return (
        told.floor == answer.floor
        and abs(told.sidecars - answer.sidecars) <= CLOSE * answer.sidecars
        and abs(told.traces_per_second - answer.traces_per_second) <= CLOSE * answer.traces_per_second
    )

"""Rescues what sampling here has left out, and sampling in another pod keeps: sends its spans after all.

    traces ──▶ lots ─┐
    log's history ───┴─ one pass for all that wait ──▶ a queue for each delivery entry ──▶ its backends

The spans that a trace had before it was told of are read from the log's history, as far as that reaches; those that
come later are sampled as they should be. A pass begins where spans of the oldest lot can be, and ends at the place up
to which the log had been cut when the youngest was told. Never is there more than one; it takes a quarter of a core at
most while it lasts, and is followed by a pause that makes that a twentieth.

What is sent is booked as redelivered, beside the ledger's equation, because its spans are booked as sampled out.
Nothing of this is on disk: what waits when the process ends is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.course import Course, Took, waiting
from tracekeeper_sidecar.forward.lots import MOST, Lots
from tracekeeper_sidecar.forward.milestones import Milestones
from tracekeeper_sidecar.forward.taker import Taker
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import Batch, Position
from tracekeeper_sidecar.threads import in_thread
from tracekeeper_sidecar.wakeup import Signal
from tracekeeper_sidecar.wire.pick import Pick

logger = logging.getLogger(__name__)

REASON = "rescue"
"""Under which the ledger books what was sent."""
SPANS, BYTES = 4096, 1 << 20
"""Of one batch: so large that a trip to a thread is worth it, so small that others need not wait for long."""
REST_IN, REST_AFTER = 3.0, 20.0
"""Pauses in a pass, as multiples of the time that a batch has taken, and after it, of what all of them have taken."""
PATIENCE = 1.0
"""Seconds for which a pass waits for an entry whose queue is full, before it goes on without it."""
LOOK, REST = 0.5, 300.0
"""Seconds between looks at whether a backend has come back, while traces wait for it; and while none do."""
LOOKBACK = 60.0
"""Seconds before a trace was told of in which its spans are looked for, beyond those that decisions take."""


@dataclass(frozen=True, slots=True)
class RescueHealth:
    """One moment of it. By delivery entry."""

    waiting: Mapping[str, int]
    """Traces."""
    given_up: Mapping[tuple[str, str], int]
    """Traces, by reason too: `full`, too many were waiting; `gone`, their spans had left the log's history."""
    refused: Mapping[str, int]
    """Spans that no backend has taken."""
    buckets: tuple[int, ...]
    """Traces, by the seconds from the decision to keep one to the backend's answer for all of it: in each bucket of
    `metrics.RESCUE_SECONDS`, and at last those that took longer."""
    seconds: float
    """Of all of them together."""


class Rescue:
    """Owned by the event loop on which sampling works."""

    def __init__(
        self, log: Log, clock: Clock, takers: Callable[[], Iterable[Taker]], book: Callable[[str, int], None]
    ) -> None:
        """`takers` says what entries there are for which sampling leaves something out; `book` is told by an entry's
        name how many spans one of its backends has taken."""
        self.decision_wait = 0.0
        """Seconds that a decision can take."""
        self.problem = ""
        """Why the history cannot be read; empty while it can."""
        self._log, self._clock, self._takers, self._book = log, clock, takers, book
        self._lots = Lots()
        self._courses: dict[str, Course] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._signal = Signal(clock)
        self._took = Took()
        self._milestones = Milestones()
        self._passes = self._urgent = 0
        self._rested = 0.0
        """Monotonic time up to which no pass may begin."""
        log.on_committed(self._committed)

    def end(self) -> None:
        """No more work to come."""
        self._log.off_committed(self._committed)

    def take(self, packed: bytes, until: Position, decided: float) -> None:
        """Rescue these traces, 24 bytes each as `Traces.pack` makes them: spans before `until` that were sampled out.
        `decided` is the Unix time at which somebody decided that the first of them be kept."""
        self._look_round()
        if self._courses:
            self._lots.add(packed, until, decided, self._clock.now())
            self._signal.fire()

    async def run(self) -> None:
        """Work until cancelled. May be called again, and goes on where it was."""
        try:
            while True:
                self._look_round()
                self._send()
                group = self._group() if self._urgent or self._clock.monotonic() >= self._rested else []
                if group:
                    await self._serve(group)
                else:
                    await self._signal.wait(self._pause())
        finally:
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values())
            self._tasks.clear()

    async def forget(self, others: Collection[str]) -> None:
        """There are no entries but these any more: what waits for others is given up."""
        for name in [name for name in self._courses if name not in others]:
            del self._courses[name]
            task = self._tasks.pop(name, None)
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 (the clock is a parameter)
        """Bring all that waits to the backends without pauses; return when that is done, or time is up."""
        deadline = self._clock.monotonic() + timeout
        self._urgent += 1
        self._signal.fire()
        try:
            while waiting(self._courses.values()) and (left := deadline - self._clock.monotonic()) > 0:
                await self._signal.wait(min(left, LOOK))
        finally:
            self._urgent -= 1

    def hopeless(self, seconds: float) -> bool:
        """Whether nothing that waits can be sent within `seconds`."""
        return all(course.idle or course.hopeless(seconds) for course in self._courses.values())

    def health(self) -> RescueHealth:
        """What can be said about it now."""
        courses = self._courses
        return RescueHealth(
            {name: course.waiting for name, course in courses.items()},
            {(name, why): n for name, course in courses.items() for why, n in course.given_up.items()},
            {name: course.refused for name, course in courses.items()},
            tuple(self._took.buckets),
            self._took.seconds,
        )

    def _committed(self) -> None:
        self._milestones.note(self._clock.now(), self._log.end, 2 * self.decision_wait + LOOKBACK)

    # Who waits for what.

    def _look_round(self) -> None:
        """See what entries there are, and let go what nobody can have any more."""
        takers = {taker.name: taker for taker in self._takers()}
        for name, taker in takers.items():
            if name not in self._courses:
                book = partial(self._book, name)
                self._courses[name] = Course(taker, self._lots, self._clock, self._took, book, self._signal)
        begin = self._log.begin.seq
        for name, course in self._courses.items():
            course.taker = takers.get(name)
            course.trim(begin)
            if course.obsolete and name in self._tasks:
                self._tasks[name].cancel()  # It begins anew with what is on its way.
        self._lots.drop(min((course.next for course in self._courses.values()), default=self._lots.end))

    def _group(self) -> list[Course]:
        """Those for whom the next pass is: who has waited for longest, and all that need the very same."""
        ready = [course for course in self._courses.values() if course.ready(LOOK)]
        if not ready:
            return []
        lead = min(ready, key=lambda course: course.served)
        return [one for one in ready if one.stage == lead.stage]

    def _pause(self) -> float:
        if not any(course.waiting for course in self._courses.values()):
            return REST
        left = self._rested - self._clock.monotonic()
        return left if left > 0 and not self._urgent else LOOK

    # Passes.

    async def _serve(self, group: list[Course]) -> None:
        self._passes += 1
        first, last, place = group[0].stage
        if last is None:
            last = self._lots.window(first)
        for course in group:
            course.last, course.place, course.served = last, place, self._passes
        try:
            await self._pass(group, first, last, place)
            self.problem = ""
        except LogUnavailable as error:
            if str(error) != self.problem:
                logger.error("what other pods keep cannot be rescued here yet: %s", error)
            self.problem = str(error)
            self._rested = self._clock.monotonic() + 1.0

    async def _pass(self, group: list[Course], first: int, last: int, begin: Position | None) -> None:
        """Offer everything of the lots from `first` to `last` to these. Raises LogUnavailable."""
        began, worked = self._clock.monotonic(), 0.0
        lots = list(self._lots.between(first, last))
        pick = Pick(MOST)
        for lot in lots:
            pick.add(bytes(lot.records))
        borders = {until for lot in lots for until in lot.ends}
        end = max(borders)
        for course in group:
            if course.taker is not None:
                borders |= {course.taker.begin, course.taker.end}
        since = lots[0].came - 2 * self.decision_wait - LOOKBACK
        reader = self._log.reader(begin or self._milestones.since(since, self._log.since(since)))
        places = sorted(borders)
        try:
            while group and reader.position.seq < end:
                at, started = reader.position, self._clock.monotonic()
                while places[0] <= at.seq:
                    del places[0]
                batch = await in_thread(partial(reader.read, SPANS, BYTES, reach=places[0] - at.seq))
                if batch is None:
                    break
                body, spans = _picked(pick, batch)
                took = self._clock.monotonic() - started
                worked += took
                if spans:
                    group = await self._offer(group, batch, body, spans)
                for course in group:
                    course.place = batch.end
                await self._clock.sleep(0.0 if self._urgent else REST_IN * took)
        finally:
            reader.close()
            self._rested = began + (1.0 + REST_AFTER) * worked
        for course in group:
            course.passed(last)

    async def _offer(self, group: list[Course], batch: Batch, body: bytes, spans: int) -> list[Course]:
        """Returns those that go on."""
        deadline = self._clock.monotonic() + PATIENCE
        while any(one.full for one in group) and (left := deadline - self._clock.monotonic()) > 0:
            await self._signal.wait(left)
        going = [one for one in group if not one.full]
        for one in going:
            if one.taker and one.taker.begin <= batch.begin.seq and batch.end.seq <= one.taker.end:
                one.offer(body, spans)
        return going

    def _send(self) -> None:
        """Let everybody's queue be sent. Raises what nobody foresaw."""
        for name, course in self._courses.items():
            task = self._tasks.get(name)
            if task is not None and task.done():
                del self._tasks[name]
                if not task.cancelled():
                    task.result()
            if name not in self._tasks and not course.idle:
                task = self._tasks[name] = asyncio.create_task(course.send(), name=f"{REASON} of {name}")
                task.add_done_callback(lambda _: self._signal.fire())


def _picked(pick: Pick, batch: Batch) -> tuple[bytes, int]:
    if not batch.spans:
        return b"", 0
    try:
        found = pick.pick(batch.body, batch.end.seq)
    except ValueError:  # The receiver has checked it, so this is damage that a checksum missed.
        return b"", 0
    return found.body, found.kept

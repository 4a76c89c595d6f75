"""Takes requests through the steps of a config, in their order, and accounts for each of them.

What a step has changed is scanned again before the log gets it: a fault of ours costs the request, and never poisons
the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, TypeAlias

from tracekeeper_sidecar.errors import StepUnavailable
from tracekeeper_sidecar.process import metrics
from tracekeeper_sidecar.process.step import Detour, Request, Sample, Step
from tracekeeper_sidecar.raised import raised

logger = logging.getLogger(__name__)

Done: TypeAlias = Callable[["Exception | None"], None]
OVER: Final = -1
"""In place of a place among the steps: there is none left."""


@dataclass(slots=True)
class Counts:
    """What one step has done since the process began."""

    spans: int = 0
    changed: int = 0
    """Spans of requests that it left otherwise than they came."""
    errors: int = 0
    """Requests that it failed on."""
    seconds: float = 0.0
    """Time of the event loop that it took; a step that runs elsewhere shows what that costs itself."""
    refused_at: int = -1
    """What `spans` was when it had a request refused last; -1 for never. While it still is, none has passed since."""


class Pipeline:
    """The steps of one config. Owned by the receivers' event loop."""

    def __init__(self, steps: Sequence[Step] = (), clock: Callable[[], float] = time.perf_counter) -> None:
        self.steps = tuple(steps)
        self.wants = frozenset(name for step in steps for name in step.wants)
        """Names of headers that must be in the context."""
        self._clock = clock
        self._counts = {step.name: Counts() for step in steps}
        self._plan: tuple[tuple[Step, Counts, Detour | None], ...] = ()
        self._make_plan()

    def _make_plan(self) -> None:
        """What `run` goes by: nothing is looked up for a request. To look for a protocol's members takes 30 µs."""
        self._plan = tuple(
            (step, self._counts[step.name], step if isinstance(step, Detour) else None) for step in self.steps
        )

    def process(
        self,
        body: bytes,
        spans: int,
        context: Mapping[str, str],
        done: Callable[[Request, Exception | None], None],
        due: float = inf,
    ) -> None:
        """As receivers call it: `run` for the raw request, which came now, with the request given back."""
        request = Request(body, spans, time.time_ns(), context, due)
        place, error = self._go_on(request, 0)
        if place == OVER:
            done(request, error)
        else:
            self._turn_off(request, place, lambda error: done(request, error))

    def run(self, request: Request, done: Done) -> None:
        """Take the request through all steps, then call `done` exactly once: before this returns, unless a step takes
        its time; with an exception when the request must not be stored. Never raises."""
        self._resume(request, 0, done)

    def _resume(self, request: Request, place: int, done: Done) -> None:
        place, error = self._go_on(request, place)
        if place == OVER:
            done(error)
        else:
            self._turn_off(request, place, done)

    def _go_on(self, request: Request, place: int) -> tuple[int, Exception | None]:
        """Take it through the steps from `place` on. Returns the place of one that takes its time, or OVER, with why it
        must not be stored."""
        clock = self._clock
        began = clock()
        for step, counts, detour in self._plan[place:] if place else self._plan:
            spans = request.spans
            if not spans:
                break
            if detour is not None:
                return place, None
            place += 1
            before = request.body
            try:
                step.run(request)
            except Exception as error:
                counts.errors += 1
                if not isinstance(error, StepUnavailable):  # Its sender is told, and /health shows why.
                    logger.error("step %s has failed on a request of %d spans: %s", step.name, spans, raised(error))
                if step.fails_closed:
                    counts.refused_at = counts.spans
                    return OVER, error
                request.restore(step.name, before, spans)
            counts.spans += spans
            if request.body is not before:
                counts.changed += spans
            ended = clock()
            counts.seconds += ended - began
            began = ended
        return OVER, None

    def _turn_off(self, request: Request, place: int, done: Done) -> None:
        step, counts, detour = self._plan[place]
        assert detour is not None
        before, spans = request.body, request.spans

        def back(error: Exception | None) -> None:
            counts.spans += spans
            if error is not None:
                counts.errors += 1
                if step.fails_closed:
                    counts.refused_at = counts.spans
                    done(error)
                    return
                request.restore(step.name, before, spans)
            elif request.body is not before:
                counts.changed += spans
            self._resume(request, place + 1, done)

        detour.start(request, back)

    def keep(self, older: Pipeline) -> None:
        """Take over what the steps of `older` know and have counted, by their names and types; let go of those that are
        not there any more."""
        known = {(step.name, step.kind): step for step in older.steps}
        for step in self.steps:
            if (before := known.pop((step.name, step.kind), None)) is not None:
                self._counts[step.name] = older._counts[step.name]
                if before is not step:
                    self._counts[step.name].refused_at = -1
                    step.keep(before)
                    before.close()
        self._make_plan()
        for gone in known.values():
            gone.close()

    def samples(self) -> Iterator[Sample]:
        """The metrics of all steps."""
        for step in self.steps:
            labels, counts = (step.name, step.kind), self._counts[step.name]
            yield Sample(metrics.SPANS, labels, counts.spans)
            yield Sample(metrics.CHANGED_SPANS, labels, counts.changed)
            yield Sample(metrics.ERRORS, labels, counts.errors)
            yield Sample(metrics.SECONDS, labels, counts.seconds)
            yield from step.samples()

    def problems(self) -> Iterable[str]:
        """What is wrong with steps at the moment, in words for people."""
        return [problem for step in self.steps for problem in _problems(step)]

    def refusals(self) -> list[str]:
        """Those of `problems` for which everything is refused: of steps that have refused what came last."""
        refusing = (step for step in self.steps if (counts := self._counts[step.name]).refused_at == counts.spans)
        return [problem for step in refusing for problem in _problems(step)]

    def close(self) -> None:
        """Let go of what the steps hold."""
        for step in self.steps:
            step.close()


def _problems(step: Step) -> list[str]:
    return [f"processor {step.name}: {problem}" for problem in step.problems()]

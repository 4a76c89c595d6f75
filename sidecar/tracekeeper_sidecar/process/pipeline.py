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
from typing import TypeAlias

from tracekeeper_sidecar.errors import StepUnavailable
from tracekeeper_sidecar.process import metrics
from tracekeeper_sidecar.process.step import Detour, Request, Sample, Step
from tracekeeper_sidecar.raised import raised

logger = logging.getLogger(__name__)

Done: TypeAlias = Callable[["Exception | None"], None]


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


class Pipeline:
    """The steps of one config. Owned by the receivers' event loop."""

    def __init__(self, steps: Sequence[Step] = (), clock: Callable[[], float] = time.perf_counter) -> None:
        self.steps = tuple(steps)
        self.wants = frozenset(name for step in steps for name in step.wants)
        """Names of headers that must be in the context."""
        self._clock = clock
        self._counts = {step.name: Counts() for step in steps}
        self._detours = tuple(step if isinstance(step, Detour) else None for step in steps)
        """Asked once: to look for a protocol's members takes 30 µs."""

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
        self.run(request, lambda error: done(request, error))

    def run(self, request: Request, done: Done) -> None:
        """Take the request through all steps, then call `done` exactly once: before this returns, unless a step takes
        its time; with an exception when the request must not be stored. Never raises."""
        self._go_on(request, 0, done)

    def _go_on(self, request: Request, index: int, done: Done) -> None:
        steps = self.steps
        while index < len(steps) and request.spans:
            step, detour = steps[index], self._detours[index]
            index += 1
            if detour is not None:
                self._turn_off(step, detour, request, index, done)
                return
            began, before, spans = self._clock(), request.body, request.spans
            counts = self._counts[step.name]
            try:
                step.run(request)
            except Exception as error:
                counts.errors += 1
                if not isinstance(error, StepUnavailable):  # Its sender is told, and /health shows why.
                    logger.error("step %s has failed on a request of %d spans: %s", step.name, spans, raised(error))
                if step.fails_closed:
                    done(error)
                    return
                request.restore(step.name, before, spans)
            counts.spans += spans
            if request.body is not before:
                counts.changed += spans
            counts.seconds += self._clock() - began
        done(None)

    def _turn_off(self, step: Step, detour: Detour, request: Request, index: int, done: Done) -> None:
        before, spans = request.body, request.spans
        counts = self._counts[step.name]

        def back(error: Exception | None) -> None:
            counts.spans += spans
            if error is not None:
                counts.errors += 1
                if step.fails_closed:
                    done(error)
                    return
                request.restore(step.name, before, spans)
            elif request.body is not before:
                counts.changed += spans
            self._go_on(request, index, done)

        detour.start(request, back)

    def keep(self, older: Pipeline) -> None:
        """Take over what the steps of `older` know and have counted, by their names and types; let go of those that are
        not there any more."""
        known = {(step.name, step.kind): step for step in older.steps}
        for step in self.steps:
            if (before := known.pop((step.name, step.kind), None)) is not None:
                self._counts[step.name] = older._counts[step.name]
                if before is not step:
                    step.keep(before)
                    before.close()
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
        return [f"processor {step.name}: {problem}" for step in self.steps for problem in step.problems()]

    def close(self) -> None:
        """Let go of what the steps hold."""
        for step in self.steps:
            step.close()

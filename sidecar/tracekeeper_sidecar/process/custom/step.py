"""The step of the pipeline that has a process of the user's own do the work."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.process.custom import metrics
from tracekeeper_sidecar.process.custom.child import Child, Failed, Failure, Limits
from tracekeeper_sidecar.process.custom.find import NotInstalled, find
from tracekeeper_sidecar.process.custom.messages import Message, What
from tracekeeper_sidecar.process.step import Plain, Request, Sample, Step
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_spec.custom import Custom, OnError

logger = logging.getLogger(__name__)

ANSWERED: Final = "answered"
AGAIN: Final = frozenset({Failure.TIMED_OUT, Failure.DIED, Failure.OVERLOADED, Failure.UNUSABLE})
"""What may go better when the spans are sent again."""
OUTCOMES: Final = (ANSWERED, *Failure)
_WRONG: Final = frozenset({Failure.RAISED, Failure.INVALID})
"""What the class does wrong, and nothing else tells: what ends the process is logged by whoever starts it again."""
AGAIN_AFTER: Final = 60.0
"""Seconds between two lines about that."""


class CustomStep(Plain):
    """One processor of type Custom. Owned by the receivers' event loop."""

    def __init__(
        self,
        name: str,
        kind: str,
        custom: Custom,
        limits: Limits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, kind)
        self._monotonic = monotonic
        self._next_line, self._untold = 0.0, 0
        self.fails_closed = custom.on_error is OnError.REFUSE
        self._custom = custom
        self._limits = limits or Limits(custom.timeout)
        self._child = Child(setup_of(custom), self._limits)
        self._lent = False
        """Another step has taken the process over, and sees to its end."""
        try:
            find(custom.entry_point)
            self._missing = ""
        except NotInstalled as error:
            self._missing = str(error)

    @property
    def pid(self) -> int:
        """Of its process; 0 while none runs."""
        return self._child.pid

    def run(self, request: Request) -> None:
        raise NotImplementedError("it takes its time: call start")

    def start(self, request: Request, done: Callable[[Exception | None], None]) -> None:
        """Have the process change the request. Never raises."""
        child = self._child

        def answered(what: Message | Failed) -> None:
            problem = what if isinstance(what, Failed) else self._take(request, what)
            child.counts.outcomes[problem.failure if problem is not None else ANSWERED] += 1
            done(self._judge(request, child, problem) if problem is not None else None)

        child.ask(request.body, answered, request.due)

    def _judge(self, request: Request, child: Child, problem: Failed) -> Failed | None:
        """What becomes of a request that the class has failed on; None when it has been seen to here."""
        if problem.failure in _WRONG:
            self._tell(problem)
        if not self.fails_closed:
            child.counts.bypassed += request.spans
            return problem
        if problem.failure not in AGAIN:
            # The same spans would come to the same end: their sender is told not to try them again.
            request.refuse("processor", b"", request.spans, f"processor {self.name}: {problem}")
            return None
        return Failed(problem.failure, f"processor {self.name}: {problem}")

    def _tell(self, problem: Failed) -> None:
        self._untold += 1
        if (now := self._monotonic()) >= self._next_line:
            requests = "1 request" if self._untold == 1 else f"{self._untold} requests"
            logger.warning("processor %s has failed on %s, last of all: %s", self.name, requests, problem)
            self._next_line, self._untold = now + AGAIN_AFTER, 0

    def _take(self, request: Request, answer: Message) -> Failed | None:
        """Takes the answer; where it is no request with the spans that it says it has, nothing has changed."""
        self._missing = ""
        if answer.what == What.SAME:
            return None
        left = request.spans - answer.dropped
        try:
            spans = look(answer.body).spans if answer.body else 0
        except WireError as error:
            return Failed(Failure.INVALID, f"what it has made of the spans is not OTLP: {error}")
        if spans != left:
            text = f"{request.spans} spans went in and {answer.dropped} were dropped, but {spans} came out"
            return Failed(Failure.INVALID, text)
        if answer.dropped:
            request.filter(self.name, answer.body, answer.dropped)
        else:
            request.body = answer.body
        return None

    def samples(self) -> Iterable[Sample]:
        """Requests by outcome, spans bypassed, and what the processes cost."""
        child, own = self._child, (self.name,)
        usage = child.usage
        for outcome in OUTCOMES:
            yield Sample(metrics.REQUESTS, (self.name, str(outcome)), child.counts.outcomes[outcome])
        yield Sample(metrics.BYPASSED, own, child.counts.bypassed)
        yield Sample(metrics.CPU, own, usage.cpu)
        yield Sample(metrics.MEMORY, own, usage.resident)
        yield Sample(metrics.STARTS, own, child.counts.starts)

    def keep(self, older: Step) -> None:
        """Take over the process, if it was started for the same class and config, and what was counted. Requests that
        are on their way to the older step are answered and counted by the same."""
        if not isinstance(older, CustomStep) or older._lent:
            return
        if setup_of(older._custom) == setup_of(self._custom) and older._limits == self._limits:
            self._child, older._lent = older._child, True
        else:
            self._child.counts = older._child.counts

    def problems(self) -> Iterable[str]:
        """That the class is not installed, or the process does not run."""
        if problem := self._child.problem or self._missing:
            yield f"{problem}; its spans {'are refused' if self.fails_closed else 'go on as they are'}"

    def close(self) -> None:
        """End the process, once it has answered what it was asked."""
        if not self._lent:
            self._child.retire()

    async def gone(self) -> None:
        """Return when its process has ended; after `close`. At once where another step has it."""
        if not self._lent:
            await self._child.gone()


def setup_of(custom: Custom) -> bytes:
    """The first thing that the process is told; see `worker.Setup`."""
    setup = {"entryPoint": custom.entry_point, "config": custom.config, "memory": custom.memory}
    return json.dumps(setup, ensure_ascii=True, sort_keys=True).encode()

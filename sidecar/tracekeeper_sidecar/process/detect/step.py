"""Takes requests past the detectors, and writes down what they have seen."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable

from tracekeeper_sidecar.process.detect import metrics
from tracekeeper_sidecar.process.detect.limits import limits_of
from tracekeeper_sidecar.process.detect.words import DETECTORS, disowned, written
from tracekeeper_sidecar.process.step import Plain, Request, Sample, Step
from tracekeeper_sidecar.wire.detect import Watch
from tracekeeper_sidecar.wire.detect_found import Found, Link
from tracekeeper_sidecar.wire.splice import splice
from tracekeeper_spec.detect import Detect

_SECOND = 1_000_000_000


class DetectStep(Plain):
    """Fails open: a fault in it costs what it would have said, and no span."""

    def __init__(self, name: str, kind: str, spec: Detect, trusting: bool = False) -> None:
        """Whoever is `trusting` takes what spans say was detected for the word of a step before. Any other has them say
        it by another name: whoever sends them has written it."""
        super().__init__(name, kind)
        self._spec, self._trusting = spec, trusting
        self._reports: Counter[str] = Counter()
        self._links = 0
        self._watch = Watch(secrets.randbits(63))
        self._configure()

    def run(self, request: Request) -> None:
        """Give spans events, attributes and links, where there is a reason to."""
        watch = self._watch
        if not watch.take(request.body, request.now // _SECOND, request.spans):
            return
        body, spans = request.body, _by_span(watch.found, watch.links)
        if watch.foreign:
            body = disowned(body, watch.foreign)
        edits = [(at, end, written(body[at:end], *what)) for (at, end), what in sorted(spans.items())]
        if not watch.again:
            for found in watch.found:
                self._reports[DETECTORS[found.detector]] += 1
            self._links += len(watch.links)
        request.body = splice(body, edits)

    def samples(self) -> Iterable[Sample]:
        """What was reported, who calls whom, and what all that takes."""
        for detector in DETECTORS:
            yield Sample(metrics.REPORTS, (self.name, detector), self._reports[detector])
        for caller, callee, kind, count in self._watch.edges():
            yield Sample(metrics.AGENT_CALLS, (self.name, caller, callee, kind), count)
        yield Sample(metrics.LINKS, (self.name,), self._links)
        yield Sample(metrics.LEFT, (self.name,), self._watch.left)
        yield Sample(metrics.TRACES, (self.name,), self._watch.traces)
        yield Sample(metrics.CONVERSATIONS, (self.name,), self._watch.conversations)
        yield Sample(metrics.FORGOTTEN, (self.name,), self._watch.forgotten)
        yield Sample(metrics.MEMORY, (self.name,), self._watch.memory)

    def keep(self, older: Step) -> None:
        """Go on with the traces and conversations that the older one knows, and with its counts."""
        if isinstance(older, DetectStep):
            self._watch, self._reports, self._links = older._watch, older._reports, older._links
            self._configure()

    def _configure(self) -> None:
        declared = {agent.from_: frozenset(agent.to) for agent in self._spec.handoffs}
        self._watch.configure(limits_of(self._spec), declared, self._spec.link_conversations, self._trusting)


def _by_span(found: Iterable[Found], links: Iterable[Link]) -> dict[tuple[int, int], tuple[list[Found], list[Link]]]:
    spans: dict[tuple[int, int], tuple[list[Found], list[Link]]] = {}
    for one in found:
        spans.setdefault((one.begin, one.end), ([], []))[0].append(one)
    for link in links:
        spans.setdefault((link.begin, link.end), ([], []))[1].append(link)
    return spans

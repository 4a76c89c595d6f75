"""The step Normalize."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from tracekeeper_sidecar.process.normalize import keys, metrics
from tracekeeper_sidecar.process.normalize.span import Translator
from tracekeeper_sidecar.process.normalize.table import Table
from tracekeeper_sidecar.process.normalize.values import any_value, attribute
from tracekeeper_sidecar.process.step import Plain, Request, Sample, Step
from tracekeeper_sidecar.wire.normalize import Normalizer
from tracekeeper_sidecar.wire.normalize_answers import Answers
from tracekeeper_sidecar.wire.normalize_repeats import Repeats
from tracekeeper_sidecar.wire.normalize_span import Parts
from tracekeeper_sidecar.wire.normalize_usage import Usage
from tracekeeper_sidecar.wire.splice import splice

MOST_SECONDS: Final = 1.0
"""CPU time for the spans of a request that are translated: the event loop has other things to do. After half of it
messages are left as they are, which take most; what numbers say comes last to be left."""

_IS_REPEATED = attribute(keys.REPEATED, any_value(True))
_SCOPE_NAME = 1


class Normalize(Plain):
    """Has spans speak the canonical names, and marks usage that is told twice. What fails in it leaves the request as
    it was, and is counted by the pipeline."""

    def __init__(self, name: str, kind: str, table: Table, keep_originals: bool = True,
                 clock: Callable[[], float] = time.thread_time) -> None:  # fmt: skip
        """`clock` says what CPU time was used, in seconds."""
        super().__init__(name, kind)
        self._clock = clock
        self._table = table
        self._repeats = Repeats(Usage(), Answers(), int.from_bytes(os.urandom(8)))
        self._normalizer = Normalizer(table.judge, self._repeats)
        self._translator = Translator(table, self._unusable, keep_originals)
        self._parts = Parts()
        self._translated: Counter[str] = Counter()
        self._not_used: Counter[tuple[str, str]] = Counter()
        self._late: Counter[str] = Counter()
        self._repeated = 0

    @property
    def memory(self) -> int:
        """Bytes that knowing where usage was seen takes."""
        return self._repeats.memory

    def run(self, request: Request) -> None:
        work = self._normalizer.look(request.body)
        if work:
            edits = []
            scope, name = -1, ""
            begun = self._clock()
            for place, span in enumerate(work):
                spent = self._clock() - begun
                if spent > MOST_SECONDS:
                    self._late["all"] += len(work) - place
                    break
                if span.scope != scope:
                    scope = span.scope
                    name = "" if scope < 0 else self._parts.text(request.body, scope, span.scope_end, _SCOPE_NAME)
                brief = spent > MOST_SECONDS / 2
                done = self._translator.translate(request.body, span.span, span.span_end, name, span.why, brief)
                self._late["messages"] += brief
                if done is not None:
                    edits.append((span.span, span.span_end, done[0]))
                    if done[1]:
                        self._translated[done[1]] += 1
            if edits:
                request.body = splice(request.body, edits)
                self._normalizer.look(request.body)
        repeated = self._normalizer.repeated(request.now)
        if repeated:
            body = request.body
            request.body = splice(body, [(begin, end, self._marked(body, begin, end)) for begin, end in repeated])
            self._repeated += len(repeated)

    def _marked(self, body: bytes, begin: int, end: int) -> bytes:
        """The span with the mark, in place of one that says something else."""
        if body.find(keys.REPEATED.encode(), begin, end) >= 0 and (
            said := self._parts.attributes(body, begin, end).get(keys.REPEATED)
        ):
            return body[begin : said[0]] + body[said[1] : end] + _IS_REPEATED
        return body[begin:end] + _IS_REPEATED

    def _unusable(self, dialect: str, reason: str) -> None:
        self._not_used[dialect, reason] += 1

    def samples(self) -> Iterable[Sample]:
        for dialect, count in self._translated.items():
            yield Sample(metrics.TRANSLATED, (self.name, dialect), count)
        for (dialect, reason), count in self._not_used.items():
            yield Sample(metrics.UNUSABLE, (self.name, dialect, reason), count)
        for left in ("messages", "all"):
            yield Sample(metrics.LATE, (self.name, left), self._late[left])
        yield Sample(metrics.REPEATED, (self.name,), self._repeated)

    def keep(self, older: Step) -> None:
        if isinstance(older, Normalize):
            self._repeats = older._repeats
            self._normalizer = Normalizer(self._table.judge, self._repeats)
            self._translated, self._not_used = older._translated, older._not_used
            self._late, self._repeated = older._late, older._repeated

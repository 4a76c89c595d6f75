"""The step Redact."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from tracekeeper_sidecar.errors import StepUnavailable
from tracekeeper_sidecar.process.redact import metrics
from tracekeeper_sidecar.process.redact.engine import Engine
from tracekeeper_sidecar.process.step import Plain, Request, Sample, Step
from tracekeeper_spec.redact import Action, Redact

logger = logging.getLogger(__name__)

REASON: Final = "redaction"
"""Why spans are refused that cannot be redacted."""
LEAST_KEY: Final = 16
"""Bytes. Whoever can try all keys knows the values: there are few numbers of telephones."""


class Redacting(Plain):
    """Hides what nobody may read. Where it cannot, the spans are refused."""

    fails_closed = True

    def __init__(self, name: str, kind: str, wish: Redact, hash_key: bytes | None = None) -> None:
        super().__init__(name, kind)
        self._action = str(wish.action)
        self._values: Counter[str] = Counter()
        self._spans = 0
        self._missing = _lacks(wish, hash_key) if wish.action is Action.HASH else ""
        self._engine = _engine(wish, hash_key)
        if self._engine.prefilter.problem:
            logger.warning("processor %s: %s", name, self._engine.prefilter.problem)

    def run(self, request: Request) -> None:
        if self._missing:
            # It may come, as Secrets do after what names them: the sender keeps the spans and comes again.
            raise StepUnavailable(f"processor {self.name}: {self._missing}")
        outcome = self._engine.redact(request.body)
        if outcome.body is request.body:
            return
        self._values.update(outcome.values)
        self._spans += outcome.spans
        if outcome.gone:
            logger.warning("processor %s: %d spans could not be redacted: %s", self.name, outcome.gone, outcome.problem)
            request.refuse(REASON, outcome.body, outcome.gone, f"{self.name} could not redact {outcome.problem}")
        else:
            request.body = outcome.body

    def samples(self) -> Iterator[Sample]:
        yield Sample(metrics.FAST, (self.name,), float(not self._engine.prefilter.problem))
        yield Sample(metrics.SPANS, (self.name,), self._spans)
        for label, count in sorted(self._values.items()):
            yield Sample(metrics.VALUES, (self.name, label, self._action), count)

    def keep(self, older: Step) -> None:
        if isinstance(older, Redacting):
            self._spans = older._spans
            if older._action == self._action:
                self._values = older._values.copy()

    def problems(self) -> Iterable[str]:
        if self._missing:
            yield self._missing
        if self._engine.prefilter.problem:
            yield self._engine.prefilter.problem


@lru_cache(4)
def _engine(wish: Redact, hash_key: bytes | None) -> Engine:
    """A new one takes a tenth of a second to compile, and knows no keys yet; most policies that are new say of
    redaction what the one before them did. All steps run on one thread."""
    return Engine(wish, hash_key)


def _lacks(wish: Redact, hash_key: bytes | None) -> str:
    """What is wrong with the key for hashes; empty: nothing."""
    assert wish.hash_key is not None  # The spec says so.
    ref = wish.hash_key.secret_key_ref
    if hash_key is None:
        problem = f"Secret {ref.name!r} has no key {ref.key!r}, by which values are hashed"
    elif len(hash_key.strip()) < LEAST_KEY:
        size = len(hash_key.strip())
        problem = (
            f"the key for hashes, {ref.key!r} in Secret {ref.name!r}, is {size} bytes long, and must have {LEAST_KEY} "
            "or more"
        )
    else:
        return ""
    return f"{problem}: no span is stored until that is mended"

"""Zipkin's API, version 2: POST /api/v2/spans, JSON."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.http.answer import Answer
from tracekeeper_sidecar.http.head import Head
from tracekeeper_sidecar.receive import media
from tracekeeper_sidecar.receive.dialect import Convert, Dialect
from tracekeeper_sidecar.receive.outcome import Accepted
from tracekeeper_sidecar.wire.zipkin_json import convert

_EMPTY: Final = Answer(202, media.JSON, b"")


class Zipkin(Dialect):
    """Answers 202, as Zipkin's API has it."""

    name = "Zipkin"
    status = 202

    def converter(self, head: Head) -> Convert:
        """As Dialect.converter."""
        return self.guarded(convert)

    def success(self, accepted: Accepted) -> Answer:
        """As Dialect.success, without a body where there is nothing to say."""
        return super().success(accepted) if accepted.problem else _EMPTY

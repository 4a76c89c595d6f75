"""OpenAI's trace ingest, to which the OpenAI Agents SDK sends: POST /v1/traces/ingest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tracekeeper_sidecar.http.head import Head
from tracekeeper_sidecar.receive.dialect import Convert, Dialect
from tracekeeper_sidecar.receive.known_traces import KnownTraces
from tracekeeper_sidecar.receive.outcome import Refused
from tracekeeper_sidecar.wire import openai_json, propagation
from tracekeeper_sidecar.wire.converted import Converted


class OpenAiIngest(Dialect):
    """Remembers traces, because their spans come later."""

    name = "OpenAI trace ingest"

    def __init__(
        self,
        service: Callable[[], str] = str,
        *,
        parent_from_request: bool = False,
        known: KnownTraces | None = None,
    ) -> None:
        """`service` gives the `service.name` of traces that do not say theirs, or nothing. `parent_from_request`: the
        export request's own headers may name the parent."""
        self._service, self._parent_from_request = service, parent_from_request
        self._known = known or KnownTraces()

    def converter(self, head: Head) -> Convert:
        """As Dialect.converter."""
        parent = None
        if self._parent_from_request:
            headers = {name: head.field(name.encode()) for name in propagation.NAMES}
            parent = propagation.parse({name: value for name, value in headers.items() if value})
        known, service = self._known.get, self._service()
        return self.guarded(lambda body: openai_json.convert(body, known, parent=parent, service=service))

    def refusal(self, refused: Refused) -> Refused:
        """As Dialect.refusal: 503 in place of 429, after which the SDK's earlier versions do not try again."""
        return replace(refused, http_status=503) if refused.http_status == 429 else refused

    def learn(self, converted: Converted) -> None:
        """As Dialect.learn."""
        for name in converted.heard:
            self._known.touch(name)
        for name, trace in converted.traces.items():
            self._known.put(name, trace)

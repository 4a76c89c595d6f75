# cython: annotation_typing=False
"""OTLP over HTTP: POST /v1/traces, protobuf or JSON, gzip or plain; and other protocols at paths of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tracekeeper_sidecar.http.answer import Answer
from tracekeeper_sidecar.http.exchange import Body, Exchange
from tracekeeper_sidecar.http.head import Head
from tracekeeper_sidecar.http.limits import Limits
from tracekeeper_sidecar.http.server import Server
from tracekeeper_sidecar.receive import dialect, listen, media, outcome
from tracekeeper_sidecar.receive.admission import OVERHEAD
from tracekeeper_sidecar.receive.dialect import Make
from tracekeeper_sidecar.receive.intake import EVERY_NAME, MOST_CONTEXT, NO_CONTEXT, Receiver
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Refused
from tracekeeper_sidecar.receive.upload import Upload

HEAD_TIMEOUT: Final = 10.0
"""Seconds in which a request's whole head must have come once it has begun."""
BODY_TIMEOUT: Final = 30.0
"""Seconds in which a request's whole body must have come."""
IDLE_TIMEOUT: Final = 120.0
"""Seconds that a connection may go without a request; SDKs send every few seconds, or connect anew."""
LONGEST_CONTEXT: Final = 1024
"""Characters of a header that processors get to see; a longer one is as if it were not there."""

_TARGET: Final = media.PATH.encode()
_NO_DIALECTS: Final[Mapping[str, Make]] = {}


class HttpReceiver:
    """The HTTP server. Start once, stop once."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        dialects: Mapping[str, Make] = _NO_DIALECTS,
        otlp: bool = True,
        body_timeout: float = BODY_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        """`dialects` are other protocols by their paths; `otlp` says whether its own path is served."""
        self._receiver, self._dialects, self._otlp = receiver, dialects, otlp
        self._limits = Limits(idle=idle_timeout, head=min(HEAD_TIMEOUT, idle_timeout), body=body_timeout)
        self._server: Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (which one it is when `port` is 0); raises ListenError."""
        server = Server(_Otlp(self._receiver, self._dialects, self._otlp), self._limits)
        try:
            bound = await server.start(host, port)
        except OSError as error:
            raise listen.from_os(host, port, error) from error
        self._server = server
        return bound

    async def stop(self, grace: float) -> None:
        """Take no more requests; give those under way `grace` seconds, then cut them off."""
        if self._server is not None:
            await self._server.stop(grace)


class _Otlp:
    """Answers a request by its head, or has its body taken. A `Handler` of `tracekeeper_sidecar.http`."""

    def __init__(self, receiver: Receiver, dialects: Mapping[str, Make], otlp: bool) -> None:
        self._receiver, self._dialects, self._otlp = receiver, dialects, otlp

    def begin(self, exchange: Exchange, head: Head) -> Body | None:
        """As Handler.begin."""
        kind = media.content_type(head.field(b"content-type"))
        encoding = head.field(b"content-encoding").lower()
        make = None
        if head.target != _TARGET or not self._otlp:
            make = self._dialects.get(head.path)
        if (refused := self._objection(head, kind, encoding, make)) is not None:
            headers = (("Allow", "POST"),) if refused.reason == "method" else ()
            self._receiver.refuse(refused)
            if make is not None:
                refused = make().refusal(refused)
            exchange.reply(media.refusal(refused, kind, headers))
            return None
        assert kind is not None
        context = _context(head, self._receiver.wants) if self._receiver.wants else NO_CONTEXT
        gzip = encoding == "gzip"
        if make is None:
            return Upload(self._receiver, exchange, kind, gzip=gzip, held=OVERHEAD, context=context)
        other = make()
        convert = other.converter(head)
        return Upload(
            self._receiver, exchange, kind, gzip=gzip, held=OVERHEAD, context=context, dialect=other, convert=convert
        )

    def _objection(self, head: Head, kind: str | None, encoding: str, make: Make | None) -> Refused | None:
        """Why the head alone is reason to refuse; else the overhead is reserved, and nothing is to be said."""
        if make is None and (not self._otlp or (head.target != _TARGET and head.path != media.PATH)):
            return media.wrong_path(head.path, " or ".join([media.PATH] * self._otlp + list(self._dialects)))
        if head.method != "POST":
            return media.wrong_method(head.method, head.path)
        if make is not None and kind != media.JSON:
            return dialect.wrong_type(head.path, head.field(b"content-type"))
        if kind is None:
            return media.wrong_type(head.field(b"content-type"))
        if encoding not in ("gzip", "identity", ""):
            return media.wrong_encoding(encoding)
        if head.length > MAX_REQUEST:
            return outcome.too_large(head.length)
        admission = self._receiver.admission
        return None if admission.reserve(OVERHEAD) else outcome.overloaded(admission.limit)

    def refuse(self, status: int, problem: str) -> Answer:
        """As Handler.refuse."""
        refused = outcome.overcrowded(problem) if status == 503 else media.no_request(status, problem)
        return media.refusal(self._receiver.refuse(refused), None)


def _context(head: Head, wanted: frozenset[str]) -> dict[str, str]:
    """The wanted fields that are there, where they come first."""
    if wanted is EVERY_NAME:
        found: dict[str, str] = {}
        for name, value in head.fields():
            if len(found) < MOST_CONTEXT:
                found.setdefault(name, value)
    else:
        found = {name: head.field(name.encode("latin-1")) for name in wanted}
    return {name: value for name, value in found.items() if value and len(value) <= LONGEST_CONTEXT}

"""The receivers as an application meets them: both servers on ports of their own, before a store in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import otlp_requests
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.receive import dialects
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import Done, Receiver
from tracekeeper_sidecar.receive.otlp_grpc import GrpcReceiver
from tracekeeper_sidecar.receive.otlp_http import HttpReceiver
from tracekeeper_sidecar.receive.outcome import Outcome

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Gate:
    """Holds appends back until it is set; then all of them are settled, as by one commit."""

    def __init__(self) -> None:
        self.open = False
        self.waiting: list[Callable[[], None]] = []

    def set(self) -> None:
        self.open = True
        waiting, self.waiting = self.waiting, []
        for settle in waiting:
            settle()


@dataclass(slots=True)
class Store:
    """What the receivers append to. Can be told to refuse, and to wait."""

    payloads: list[bytes] = field(default_factory=list)
    critical: int = 0
    """Requests that must not wait."""
    fault: Exception | None = None
    """What appends are answered with; raised where it is no LogError."""
    refusals: int = 0
    """How often that happened."""
    heal_after: int = 0
    """The fault goes away after this many refusals; 0: never."""
    gate: Gate | None = None
    """While there is one and it is not set, appends wait."""

    @property
    def waiting(self) -> int:
        return len(self.gate.waiting) if self.gate is not None else 0

    def submit(self, payload: bytes, spans: int, done: Done, critical: bool) -> None:
        self.critical += critical
        if self.gate is not None and not self.gate.open:
            self.gate.waiting.append(lambda: self._settle(payload, done))
        else:
            self._settle(payload, done)

    def _settle(self, payload: bytes, done: Done) -> None:
        if self.fault is not None and (not self.heal_after or self.refusals < self.heal_after):
            self.refusals += 1
            if not isinstance(self.fault, LogError):
                raise self.fault
            return done(self.fault)
        self.payloads.append(payload)
        done(None)

    def span_ids(self) -> list[bytes]:
        requests = [ExportTraceServiceRequest.FromString(payload) for payload in self.payloads]
        return [one for request in requests for one in otlp_requests.span_ids(request)]


@dataclass(slots=True)
class Serving:
    """Both servers and what is behind them."""

    receiver: Receiver
    grpc: GrpcReceiver
    http: HttpReceiver
    store: Store
    ledger: Intake
    grpc_port: int
    http_port: int
    suspended: bool = False

    @property
    def traces_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/v1/traces"


@contextlib.asynccontextmanager
async def serving(
    *,
    admission: int = 64 << 20,
    append_timeout: float = 8.0,
    patience: float = 30.0,
    silence: float = 60.0,
    parent_from_request: bool = False,
) -> AsyncIterator[Serving]:
    """Servers that give a body `patience` seconds, and a silent connection `silence` seconds."""
    store, ledger = Store(), Intake()
    receiver = Receiver(
        store.submit, ledger, Admission(admission), lambda: found.suspended, append_timeout=append_timeout
    )
    grpc_receiver = GrpcReceiver(receiver, handshake_timeout=silence, keepalive=silence, message_timeout=patience)
    taken = dialects.of(lambda: "", zipkin=True, parent_from_request=parent_from_request)
    http_receiver = HttpReceiver(receiver, dialects=taken.otlp, body_timeout=patience, idle_timeout=silence)
    grpc_port = await grpc_receiver.start("127.0.0.1", 0)
    http_port = await http_receiver.start("127.0.0.1", 0)
    found = Serving(receiver, grpc_receiver, http_receiver, store, ledger, grpc_port, http_port)
    try:
        yield found
    finally:
        await grpc_receiver.stop(0)
        await http_receiver.stop(0)


async def export(receiver: Receiver, body: bytes) -> Outcome:
    """What the receiver answers. Cancelled, this only stops waiting."""
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def reply(outcome: Outcome) -> None:
        if not answer.done():
            answer.set_result(outcome)

    receiver.take(body, 0, reply)
    return await answer

"""From a connection to the exporter that speaks its protocol.

Each comes in with the first backend that needs it, after the ports are bound, in a thread, which also reads the
certificates.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tracekeeper_sidecar.forward.connection import Connection, Unusable
from tracekeeper_sidecar.forward.exporter import Exporter
from tracekeeper_spec.config import Protocol

if TYPE_CHECKING:
    from tracekeeper_sidecar.forward.otlp_grpc import GrpcExporter
    from tracekeeper_sidecar.forward.otlp_http import HttpExporter


async def build(connection: Connection) -> Exporter | Unusable:
    """An exporter for `connection`; Unusable when its certificates are."""
    try:
        return await asyncio.to_thread(_construct, connection)
    except ValueError as error:
        return Unusable(str(error))


def _construct(connection: Connection) -> Exporter:
    """Runs in a thread: nothing in an exporter touches the event loop before its first send."""
    kind = _kind(connection.protocol)
    exporter = kind(connection)
    if not connection.sharded:
        return exporter
    from tracekeeper_sidecar.forward.sharded import Sharded  # noqa: PLC0415 - slow import

    # Its connections share what was read of the certificates.
    return Sharded(connection, exporter.place, lambda place: kind(connection, place))


def _kind(protocol: Protocol) -> type[GrpcExporter | HttpExporter]:
    if protocol is Protocol.GRPC:
        from tracekeeper_sidecar.forward.otlp_grpc import GrpcExporter  # noqa: PLC0415 - slow import

        return GrpcExporter
    from tracekeeper_sidecar.forward.otlp_http import HttpExporter  # noqa: PLC0415 - slow import

    return HttpExporter

"""From a connection to the exporter that speaks its protocol.

The two client libraries take a tenth of a second and several MB each to import, so each comes in with the first
backend that needs it, in a thread, after the ports are bound.
"""

from __future__ import annotations

import asyncio

from tracekeeper_sidecar.forward.connection import Connection, Unusable
from tracekeeper_sidecar.forward.exporter import Exporter
from tracekeeper_spec.config import Protocol


async def build(connection: Connection) -> Exporter | Unusable:
    """An exporter for `connection`; Unusable when its certificates are."""
    await asyncio.to_thread(_import, connection.protocol)
    try:
        return _construct(connection)
    except ValueError as error:
        return Unusable(str(error))


def _construct(connection: Connection) -> Exporter:
    if connection.protocol is Protocol.GRPC:
        from tracekeeper_sidecar.forward.otlp_grpc import GrpcExporter  # noqa: PLC0415 - slow import

        return GrpcExporter(connection)
    from tracekeeper_sidecar.forward.otlp_http import HttpExporter  # noqa: PLC0415 - slow import

    return HttpExporter(connection)


def _import(protocol: Protocol) -> None:
    if protocol is Protocol.GRPC:
        import tracekeeper_sidecar.forward.otlp_grpc  # noqa: PLC0415 - slow import
    else:
        import tracekeeper_sidecar.forward.otlp_http  # noqa: F401, PLC0415 - slow import

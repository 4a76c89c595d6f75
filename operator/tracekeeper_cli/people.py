"""Calls to the operator's gRPC service `People`, over TLS that trusts its authority alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Of what goes wrong we say what matters; the library would fill the screen beside it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from tracekeeper_cli.errors import CLIError
from tracekeeper_proto.control.v1.control_pb2 import DumpProgress, DumpRequest

DUMP = "/tracekeeper.control.v1.People/Dump"
SPARE = 60.0
"""Seconds that the call may take beyond the dump's own time."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Where it is, and how to know that it is the one."""

    address: str
    """`host:port` to connect to."""
    name: str
    """That its certificate carries."""
    authority: str
    """PEM."""
    tunnel: bool = False
    """Whether the address is a way through the API server, which no proxy is to come into."""


@contextmanager
def dump(operator: Operator, token: str, asked: DumpRequest) -> Iterator[Iterator[DumpProgress]]:
    """What is told about a dump, as long as it is listened to: leaving the context ends it. Raises CLIError."""
    options = [
        ("grpc.ssl_target_name_override", operator.name),
        ("grpc.enable_http_proxy", 0 if operator.tunnel else 1),
    ]
    credentials = grpc.ssl_channel_credentials(operator.authority.encode())
    with grpc.secure_channel(operator.address, credentials, options) as channel:
        method = channel.unary_stream(
            DUMP, request_serializer=DumpRequest.SerializeToString, response_deserializer=DumpProgress.FromString
        )
        call = method(asked, timeout=asked.timeout_seconds + SPARE, metadata=(("authorization", f"Bearer {token}"),))
        try:
            yield _told(call, operator)
        finally:
            call.cancel()


def _told(call: Iterator[DumpProgress], operator: Operator) -> Iterator[DumpProgress]:
    try:
        yield from call
    except grpc.RpcError as error:
        raise CLIError(_words(error, operator)) from None


def _words(error: grpc.RpcError, operator: Operator) -> str:
    code, details = error.code(), " ".join((error.details() or "").split())
    if code == grpc.StatusCode.UNAUTHENTICATED:
        return f"{details}. `kubectl auth whoami` says whom the API server takes you for"
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return f"the operator at {operator.address} does not know dumps: it is older than this command line; upgrade it"
    if code == grpc.StatusCode.UNAVAILABLE and "CERTIFICATE_VERIFY_FAILED" in details:
        return (
            f"what answers at {operator.address} is not the operator that the authority knows as {operator.name!r}: "
            f"is it this cluster's, and is the authority (ConfigMap tracekeeper-ca, or --ca) a current one? ({details})"
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN):
        return f"the operator at {operator.address}: {details or code.name}"
    return details or str(code)

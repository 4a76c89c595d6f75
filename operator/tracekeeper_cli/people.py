"""Calls to the operator's gRPC services for people, over TLS that trusts its authority alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

# Of what goes wrong we say what matters; the library would fill the screen beside it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from google.protobuf.message import Message

from tracekeeper_cli.errors import CLIError
from tracekeeper_proto.control.v1.control_pb2 import (
    DumpProgress,
    DumpRequest,
    TapProgress,
    TapRequest,
    TestProgress,
    TestRequest,
)

SPARE = 60.0
"""Seconds that a call may take beyond the time of what is asked."""
LARGEST = 8 << 20
"""Bytes of a message."""

Asked = TypeVar("Asked", bound=Message)
Told = TypeVar("Told", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[Asked, Told]):
    """Something that can be asked."""

    name: str
    words: str
    """What it is, in the plural."""
    asked: type[Asked]
    told: type[Told]
    service: str = "tracekeeper.control.v1.People"


DUMP = Method("Dump", "dumps", DumpRequest, DumpProgress)
TAP = Method("Tap", "taps", TapRequest, TapProgress)
TEST = Method("SendTestSpan", "test spans", TestRequest, TestProgress)


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
def call(
    operator: Operator, token: str, method: Method[Asked, Told], asked: Asked, seconds: float
) -> Iterator[Iterator[Told]]:
    """What is told about something that takes `seconds`, as long as it is listened to: leaving the context ends it.
    Raises CLIError."""
    options = [
        ("grpc.ssl_target_name_override", operator.name),
        ("grpc.enable_http_proxy", 0 if operator.tunnel else 1),
        ("grpc.max_receive_message_length", LARGEST),
    ]
    credentials = grpc.ssl_channel_credentials(operator.authority.encode())
    with grpc.secure_channel(operator.address, credentials, options) as channel:
        stub = channel.unary_stream(
            f"/{method.service}/{method.name}",
            request_serializer=method.asked.SerializeToString,
            response_deserializer=method.told.FromString,
        )
        told = stub(asked, timeout=seconds + SPARE, metadata=(("authorization", f"Bearer {token}"),))
        try:
            yield _told(told, operator, method.words)
        finally:
            told.cancel()


def _told(told: Iterator[Told], operator: Operator, what: str) -> Iterator[Told]:
    try:
        yield from told
    except grpc.RpcError as error:
        raise CLIError(_words(error, operator, what)) from None


def _words(error: grpc.RpcError, operator: Operator, what: str) -> str:
    code, details = error.code(), " ".join((error.details() or "").split())
    if code == grpc.StatusCode.UNAUTHENTICATED:
        return f"{details}. `kubectl auth whoami` says whom the API server takes you for"
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return (
            f"the operator at {operator.address} does not know {what}: it is older than this command line; upgrade it"
        )
    if code == grpc.StatusCode.UNAVAILABLE and "CERTIFICATE_VERIFY_FAILED" in details:
        return (
            f"what answers at {operator.address} is not the operator that the authority knows as {operator.name!r}: "
            f"is it this cluster's, and is the authority (ConfigMap tracekeeper-ca, or --ca) a current one? ({details})"
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN):
        return f"the operator at {operator.address}: {details or code.name}"
    return details or str(code)

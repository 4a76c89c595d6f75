"""What people ask of the sidecars through the operator, with their own token: gRPC service `People`."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.config import ConfigSpec

from ..clock import Clock
from .dump_calls import DumpCalls
from .gate import Configs, Gate, Sidecars
from .persons import Persons
from .tap_calls import TapCalls
from .trial_calls import TrialCalls

SERVICE = "tracekeeper.control.v1.People"


class People:
    """Owned by the event loop of the control server."""

    def __init__(
        self,
        persons: Persons,
        configs: Configs,
        sidecars: Sidecars,
        clock: Clock,
        merged: Callable[[str], ConfigSpec | None] = lambda uid: None,
    ) -> None:
        """`merged` has what a config says together with what it inherits, by its UID."""
        gate = Gate(persons, configs)
        self._dumps = DumpCalls(gate, sidecars, clock, merged)
        self._taps = TapCalls(gate, sidecars, clock)
        self._trials = TrialCalls(gate, sidecars, clock)

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        dump = grpc.unary_stream_rpc_method_handler(
            self._dumps.dump,
            request_deserializer=pb.DumpRequest.FromString,
            response_serializer=pb.DumpProgress.SerializeToString,
        )
        tap = grpc.unary_stream_rpc_method_handler(
            self._taps.tap,
            request_deserializer=pb.TapRequest.FromString,
            response_serializer=pb.TapProgress.SerializeToString,
        )
        send = grpc.unary_stream_rpc_method_handler(
            self._trials.send_test_span,
            request_deserializer=pb.TestRequest.FromString,
            response_serializer=pb.TestProgress.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Dump": dump, "Tap": tap, "SendTestSpan": send})

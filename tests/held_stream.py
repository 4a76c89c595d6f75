"""A sidecar's stream as the control server holds it, for tests of what is asked of sidecars."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracekeeper_operator.control.tokens import PodIdentity
from tracekeeper_proto.control.v1 import control_pb2 as pb


@dataclass
class Stream:
    identity: PodIdentity
    told: list[pb.ToSidecar] = field(default_factory=list)

    def send(self, message: pb.ToSidecar) -> None:
        self.told.append(message)

    @property
    def kinds(self) -> list[str | None]:
        return [message.WhichOneof("message") for message in self.told]


def stream(number: int = 1) -> Stream:
    return Stream(PodIdentity("shop", f"app-{number}", f"uid-{number}", "default"))

"""What people have the operator ask of this sidecar, by kind: dumps, taps and test spans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracekeeper_sidecar.control.dumps import Dumps
from tracekeeper_sidecar.control.taps import Taps
from tracekeeper_sidecar.control.trials import Trials

if TYPE_CHECKING:
    from tracekeeper_proto.control.v1 import control_pb2 as pb


@dataclass(frozen=True, slots=True)
class Errands:
    """Owned by the event loop of the link."""

    dumps: Dumps
    taps: Taps
    trials: Trials

    def take(self, message: pb.ToSidecar, send: Callable[[pb.FromSidecar], bool]) -> bool:
        """Carry it out, and say by `send` how it goes; False when it is no errand."""
        kind = message.WhichOneof("message")
        if kind == "dump":
            self.dumps.command(message.dump, send)
        elif kind == "dump_stop":
            self.dumps.stop(message.dump_stop)
        elif kind == "tap":
            self.taps.command(message.tap, send)
        elif kind == "tap_stop":
            self.taps.stop(message.tap_stop)
        elif kind == "test":
            self.trials.command(message.test, send)
        else:
            return False
        return True

    async def detached(self) -> None:
        """The operator is away."""
        self.taps.detached()
        self.trials.detached()
        await self.dumps.detached()

"""Something asked of one sidecar that ends with the stream to it: whether it is still worth waiting for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tracekeeper_proto.control.v1 import control_pb2 as pb

from .tokens import PodIdentity

ANSWER = 15.0
"""Seconds within which a sidecar says its first word."""
GRACE = 10.0
"""Seconds beyond its time that a sidecar may take to say that it has ended."""
LONGEST_TEXT = 1000
"""Characters of what a sidecar says is wrong."""

GONE = (
    "the connection to its sidecar has ended: the pod has, or the network fails, or another config applies to it now; "
    "ask again"
)
SILENT = f"its sidecar has not answered in {ANSWER:g} s: it may be older than this, or hang; its log tells more"
NOT_ENDED = "time was up, and its sidecar has not said that it has ended; its log tells more"


class Sidecar(Protocol):
    """One stream."""

    @property
    def identity(self) -> PodIdentity: ...

    def send(self, message: pb.ToSidecar) -> None:
        """Never waits; to a stream that has ended, nothing happens."""


@dataclass(slots=True)
class Errand:
    """Of one sidecar. Times are seconds on the operator's clock."""

    sidecar: Sidecar
    asked: float
    end: float
    """When it should have ended."""
    answered: bool = False
    running: bool = True
    problem: str = ""
    """Why it is given up."""

    def look(self, attached: bool, now: float) -> bool:
        """Give it up if nothing more will come; True then. `attached` says whether its stream is there still."""
        if not self.running:
            return False
        if not attached:
            self.problem = GONE
        elif not self.answered and now - self.asked >= ANSWER:
            self.problem = SILENT
        elif now >= self.end + GRACE:
            self.problem = NOT_ENDED
        self.running = not self.problem
        return not self.running

"""Where requests wait until it is known what is to be done with them.

Right after its start a sidecar does not know its policy, and what may have to be redacted must not reach the disk
before. So requests wait here, for a moment as a rule; the bytes in flight bound them, and the time that a sender waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from tracekeeper_sidecar.errors import NotReady
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.raised import raised

logger = logging.getLogger(__name__)

Done: TypeAlias = Callable[[Request, "Exception | None"], None]
Process: TypeAlias = Callable[[bytes, int, Mapping[str, str], Done, float], None]


NOT_READ: Final = "the sidecar has not read its policy yet"
FAULTY: Final = (
    "the sidecar cannot use the first policy that it has read, and so does not know what is to be done with spans"
    " before they are stored; /health names what is wrong with it"
)


class _Waiting(NamedTuple):
    body: bytes
    spans: int
    context: Mapping[str, str]
    done: Done
    due: float


class Anteroom:
    """Owned by the receivers' event loop. Open it once."""

    def __init__(self) -> None:
        self.problem = NOT_READ
        """What they are told who have waited too long."""
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def process(self, body: bytes, spans: int, context: Mapping[str, str], done: Done, due: float) -> None:
        """Keep a request until `open`, or until it is `due` by the loop's clock: then it is given back with NotReady.
        Those that come later are not due before it."""
        self._waiting.append(_Waiting(body, spans, context, done, due))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due, self._give_up)

    def open(self, process: Process | None) -> None:
        """Send all that wait on, through `process` or as they are."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            body, spans, context, done, due = self._waiting.popleft()
            try:
                if process is None:
                    done(Request(body, spans), None)
                else:
                    process(body, spans, context, done, due)
            except Exception as error:  # Whatever becomes of one, the others go on.
                logger.error("sending on what has waited for the policy failed: %s", raised(error))

    def _give_up(self) -> None:
        """Answer those that have waited too long: they wait in the order in which they came, and all equally long."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._waiting and self._waiting[0].due <= loop.time():
            gone = self._waiting.popleft()
            gone.done(Request(gone.body, gone.spans), NotReady(self.problem))
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0].due, self._give_up)

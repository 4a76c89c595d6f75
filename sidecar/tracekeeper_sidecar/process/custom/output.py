"""What a step's process prints: logged line by line, as many as anybody would read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

LINES: Final = 20
"""That are logged in a minute; the rest is counted."""
LONGEST: Final = 500
"""Bytes of a line that are logged."""
MINUTE: Final = 60.0


class Output:
    """Of one process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._line = bytearray()
        self._logged = self._dropped = 0
        self._since = monotonic()

    def take(self, data: bytes) -> None:
        """Takes what it has printed, in pieces of any size."""
        self._look_at_the_time()
        begin = 0
        while self._logged < LINES:
            end = data.find(b"\n", begin)
            if end < 0:
                return self._add(data, begin, len(data))
            self._add(data, begin, end)
            self._log()
            begin = end + 1
        # Lines that nobody sees are only counted: a class may print without end, and the event loop reads it.
        if ended := data.count(b"\n", begin):
            self._dropped += ended
            self._line.clear()
            begin = data.rfind(b"\n") + 1
        self._add(data, begin, len(data))

    def end(self) -> None:
        """Nothing comes any more."""
        self._look_at_the_time()
        if self._line and self._logged < LINES:
            self._log()
        elif self._line:
            self._dropped += 1
        self._tell()

    def _look_at_the_time(self) -> None:
        now = self._monotonic()
        if now - self._since > MINUTE:
            self._tell()
            self._since, self._logged = now, 0

    def _add(self, data: bytes, begin: int, end: int) -> None:
        self._line += data[begin : min(end, begin + max(0, LONGEST - len(self._line)))]

    def _log(self) -> None:
        line, self._line = bytes(self._line), bytearray()
        self._logged += 1
        logger.info("a custom step prints: %s", line.decode(errors="backslashreplace"))

    def _tell(self) -> None:
        if self._dropped:
            logger.info("a custom step has printed %d more lines, which are not shown", self._dropped)
            self._dropped = 0

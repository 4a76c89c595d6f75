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
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(line)
            self._log()
        self._add(rest)

    def end(self) -> None:
        """Nothing comes any more."""
        if self._line:
            self._log()
        self._tell()

    def _add(self, part: bytes) -> None:
        self._line += part[: max(0, LONGEST - len(self._line))]

    def _log(self) -> None:
        line, self._line = bytes(self._line), bytearray()
        now = self._monotonic()
        if now - self._since > MINUTE:
            self._tell()
            self._since, self._logged = now, 0
        if self._logged >= LINES:
            self._dropped += 1
            return
        self._logged += 1
        logger.info("a custom step prints: %s", line.decode(errors="backslashreplace"))

    def _tell(self) -> None:
        if self._dropped:
            logger.info("a custom step has printed %d more lines, which are not shown", self._dropped)
            self._dropped = 0

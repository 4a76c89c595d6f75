"""The rates that adaptive sampling has learned, across restarts: a small file beside the kept log.

Without it a start knows no rate and keeps too much for some seconds. It is no promise: what cannot be read is learned
anew, and what cannot be written is tried again later. Its body is JSON:

    {"version": 1, "group_by": [name, …], "names": {mark: [value, …]}, "adaptive": what Adaptive.save makes,
     "share": traces a second, "sidecars": number, "floor": probability}

A key is known by its `mark` (see `wire.keys`), in hexadecimal: the shared one has 0. Values are cut short.
"""

from __future__ import annotations

import json
import logging

from tracekeeper_sidecar.decide.adaptive import SHARED, Adaptive
from tracekeeper_sidecar.decide.share import Share
from tracekeeper_sidecar.log.files import RATES, Files
from tracekeeper_sidecar.log.slots import Slots
from tracekeeper_sidecar.wire.keys import Keys

logger = logging.getLogger(__name__)

LONGEST = 64
"""Characters of a value that are kept."""


class RatesFile:
    """In the folder of the kept log. Blocks; for one thread at a time."""

    def __init__(self, folder: str, files: Files) -> None:
        self._slots = Slots(folder, RATES, files)
        self._failed = self._loaded = False

    def load(self) -> bytes | None:
        """What was saved last, if it is sound."""
        try:
            self._loaded = True
            return self._slots.load()
        except OSError as error:
            self._say(error)
            return None

    def save(self, body: bytes) -> None:
        """Keep it, if the disk lets us."""
        if not self._loaded:
            self.load()  # Which of the two files is older.
        try:
            self._slots.save(body)
            self._failed = False
        except OSError as error:
            self._say(error)

    def _say(self, error: OSError) -> None:
        if not self._failed:
            logger.warning("the rates of adaptive sampling cannot be saved or read: %s", error.strerror or error)
        self._failed = True


def saved(adaptive: Adaptive, keys: Keys, share: Share, now: float) -> bytes:
    """What to save. `now` is monotonic."""
    known = {_mark(keys, key): [name[:LONGEST] for name in keys.names(key)] for key in adaptive.rates() if key}
    return json.dumps(
        {
            "version": 1,
            "group_by": keys.group_by,
            "names": known,
            "adaptive": adaptive.save(lambda key: _mark(keys, key)),
            "share": share.at(now),
            "sidecars": share.sidecars,
            "floor": share.floor_at(now, 0.0),
        },
        separators=(",", ":"),
    ).encode()


def restore(body: bytes, adaptive: Adaptive, keys: Keys, share: Share, now: float) -> bool:
    """Begin with them. False, and nothing has changed, where they are of another kind."""
    try:
        found = json.loads(body)
        names = {mark: [str(name) for name in values] for mark, values in found["names"].items()}
        if found["version"] != 1 or found["group_by"] != list(keys.group_by):
            return False
        granted = float(found["share"]), int(found["sidecars"]), float(found["floor"])

        def number(mark: str) -> int:
            return keys.take(int(mark, 16), names[mark]) if mark != "0" else SHARED

        if not adaptive.restore(found["adaptive"], number):
            return False
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return False
    share.grant(now, *granted)
    return True


def _mark(keys: Keys, key: int) -> str:
    return f"{keys.mark(key):x}"

"""Lets rows go that nothing was counted in for a day, so that a family that is full of old ones has room again."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.meter.tables import COUNTED, FIXED
from tracekeeper_sidecar.wire.component import OPERATIONS
from tracekeeper_sidecar.wire.labels import MOST
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.waiting import SINCE, TICK

OLD: Final = 86_400.0
"""Seconds."""
EVERY: Final = 60.0
"""Seconds between rows that go: whoever counts series is not to see hundreds of them vanish at once."""


class Rest:
    """Owned by the stage."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._at = 0.0

    def sweep(self, now: float) -> None:
        """Let the oldest row go, if one is old enough; and values of labels that no row has, where a label is full."""
        if 0.0 <= now - self._at < EVERY:
            return
        self._at = now
        before = (int((now - OLD) * 1000) - SINCE) // TICK
        oldest = [(family, family.oldest()) for family in self._tally.families.values()]
        stamps = [(family.stamp(row), at) for at, (family, row) in enumerate(oldest) if row >= 0]
        stamp, at = min(stamps, default=(before, 0))
        if stamp < before:
            family, row = oldest[at]
            family.drop(row)
            if any(len(known) >= MOST for known in self._tally.labels.values()):
                self._free()

    def _free(self) -> None:
        used = self._tally.used()
        for name, metric in COUNTED.items():
            family = self._tally.families[name]
            for row in family.rows():
                key = family.key(row)
                for place, label in enumerate(metric.labels[1:]):
                    if label not in FIXED:
                        used[label].add(key >> 8 * place & 255)
        known = self._tally.labels["operation"]
        used["operation"].update(known.number(operation) for operation in OPERATIONS)
        answers = self._tally.answers
        for row in answers.rows():
            service, model = answers.key(row) & 255, answers.key(row) >> 8 & 255
            if service not in used["service"] or model not in used["model"]:
                answers.drop(row)
        for name, labels in self._tally.labels.items():
            labels.keep(used[name])

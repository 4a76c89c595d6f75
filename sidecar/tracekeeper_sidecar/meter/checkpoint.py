"""What the meter keeps on disk: the counts, what waits to be counted, and the place in the log up to which they hold.

In two files in turn (`log.slots`), so that a crash leaves the older one, and what lies behind its place in the log is
counted again. So counts survive, and no span is counted twice. The body:

    magic "TKMETER2" | deflated: length of the header, 4 bytes, little-endian | header, JSON | what `Tally.pack` makes

Families are known by their names, and come back only with the labels and the bounds that they had.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from tracekeeper_sidecar.log.files import METER, Files
from tracekeeper_sidecar.log.slots import Slots
from tracekeeper_sidecar.meter.tables import COUNTED, Copy
from tracekeeper_sidecar.metrics import Metric
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.wire.rows import Family
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.waiting import LAST_KIND

MAGIC: Final = b"TKMETER2"
MOST: Final = 8 << 20
"""Bytes of a body at most."""
SHARE: Final = 16
"""Each of the two files may take the log's quota divided by this."""
LEAST: Final = 256 << 10
"""Bytes of a quota below which nothing is kept: the log needs all of it."""
NAMES: Final = 512
"""Written in one go."""
_ANSWERS: Final = "answers"
_ENVIRONMENT: Final = 3
"""Where the environment is among names."""
_Rows = list[list[int]]


class TooLarge(Exception):
    """There is no room for so much."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint."""

    position: Position
    """Everything before it is counted."""
    missed: int
    """Spans before it that are not."""
    left_out: int
    """Spans that waited then, and are not kept here for want of room."""
    spend: bytes
    """As `Spend.dump` makes it."""
    labels: Mapping[str, Sequence[str | None]]
    families: Mapping[str, Mapping[str, Any]]
    names: Sequence[tuple[str, ...] | None]
    packed: bytes


class CheckpointFile:
    """In the data directory. Blocks; for one thread at a time. Raises OSError."""

    def __init__(self, folder: str, files: Files, quota: int) -> None:
        """`quota` is the log's, in bytes."""
        self._most = min(MOST, quota // SHARE)
        self._slots = Slots(folder, METER, files, most=MOST) if quota >= LEAST else None
        self.damaged: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether there is room for one at all."""
        return self._slots is not None

    def load(self) -> bytes | None:
        """What was saved last, if it is sound."""
        if self._slots is None:
            return None
        found = self._slots.load()
        self.damaged = tuple(self._slots.damaged)
        return found

    def save(self, head: bytes, packed: bytes) -> None:
        """Return when it would survive a loss of power. Raises TooLarge, too."""
        if self._slots is None:
            raise TooLarge("the storage is too small to keep what was counted")
        body = MAGIC + zlib.compress(b"".join((len(head).to_bytes(4, "little"), head, packed)), 1)
        if len(body) > self._most:
            raise TooLarge(f"what was counted takes {len(body)} bytes; there is room for {self._most}")
        self._slots.save(body)


def head(
    copy: Copy,
    names: Sequence[tuple[str, ...] | None],
    position: Position,
    missed: int,
    spend: bytes,
    kinds: Sequence[tuple[int, int]] = (),
) -> bytes:
    """All but what `Tally.pack` makes at the same moment; `names` is of `Tally.names`, and `kinds` of
    `Tally.later_kinds`.

    The version before knows fewer kinds and no environments, and must be able to go on from this: it passes over
    members that it does not know.
    """
    return _json(
        _place(position, missed, spend)
        | {
            "labels": copy.texts,
            "families": {
                metric.name: {
                    "labels": metric.labels,
                    "bounds": metric.bounds,
                    "overflow": copy.families[name].overflow,
                }
                | _told(metric, _rows(copy.families[name]))
                for name, metric in COUNTED.items()
            }
            | {_ANSWERS: {"rows": _rows(copy.answers)}},
            "kinds": kinds,
            "environments": [each[_ENVIRONMENT] if each is not None else "" for each in names],
        },
        [each[:_ENVIRONMENT] if each is not None else None for each in names],
    )


def bare(position: Position, missed: int, spend: bytes, left_out: int) -> bytes:
    """The same without counts, where `left_out` spans waited."""
    return _json(_place(position, missed, spend) | {"labels": {}, "families": {}, "left_out": left_out}, ())


def _place(position: Position, missed: int, spend: bytes) -> dict[str, Any]:
    return {
        "version": 1,
        "position": [position.segment, position.offset, position.seq],
        "missed": missed,
        "spend": spend.decode(),
    }


def _json(told: Mapping[str, Any], names: Sequence[object]) -> bytes:
    """In pieces: a thread that makes one of thousands of names at once lets no other thread work meanwhile."""
    pieces = [json.dumps(names[at : at + NAMES], separators=(",", ":"))[1:-1] for at in range(0, len(names), NAMES)]
    return f'{json.dumps(told, separators=(",", ":"))[:-1]},"names":[{",".join(pieces)}]}}'.encode()


def read(body: bytes) -> Kept:
    """Raises ValueError for what cannot be understood."""
    if not body.startswith(MAGIC):
        raise ValueError("it begins with something else")
    try:
        unpacked = zlib.decompress(body[len(MAGIC) :])
        end = 4 + int.from_bytes(unpacked[:4], "little")
        told = json.loads(unpacked[4:end])
        if told["version"] != 1:
            raise ValueError(f"its version is {told['version']}, not 1")
        return Kept(
            Position(*(int(each) for each in told["position"])),
            int(told["missed"]),
            int(told.get("left_out", 0)),
            str(told["spend"]).encode(),
            told["labels"],
            told["families"],
            [
                (*each, where) if each is not None else None
                for each, where in zip_longest(told["names"], told.get("environments", ()), fillvalue="")
            ],
            _with_kinds(unpacked[end:], told.get("kinds", ())),
        )
    except (KeyError, TypeError, AttributeError, IndexError, zlib.error) as error:
        raise ValueError(repr(error)) from None


def restore(tally: Tally, kept: Kept) -> None:
    """Go on with it, before anything is counted. Raises ValueError, and `tally` is then of no use."""
    try:
        for name, texts in kept.labels.items():
            if name in tally.labels:
                tally.labels[name].restore(texts)
        tally.know_operations()
        for name, metric in COUNTED.items():
            found = kept.families.get(metric.name)
            if found and (tuple(found["labels"]), tuple(found["bounds"])) == (metric.labels, metric.bounds):
                _restore(tally.families[name], [*found["rows"], *found.get("later", ())])
                tally.families[name].resume(int(found["overflow"]))
        if kept.families:
            _restore(tally.answers, kept.families[_ANSWERS]["rows"])
            tally.unpack(kept.packed, list(kept.names))
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(repr(error)) from None


def _rows(family: Family) -> _Rows:
    return [[family.key(row), family.stamp(row), *family.numbers(row)] for row in family.rows()]


def _told(metric: Metric, rows: _Rows) -> dict[str, _Rows]:
    """Rows, and beside them those of kinds that the version before does not know."""
    if "kind" not in metric.labels:
        return {"rows": rows}
    shift = 8 * (metric.labels.index("kind") - 1)
    later = [row for row in rows if row[0] >> shift & 255 > LAST_KIND]
    return {"rows": [row for row in rows if row[0] >> shift & 255 <= LAST_KIND], "later": later}


def _with_kinds(packed: bytes, kinds: Sequence[Sequence[int]]) -> bytes:
    made = bytearray(packed)
    for at, kind in kinds:
        made[at] = kind
    return bytes(made)


def _restore(family: Family, rows: _Rows) -> None:
    for key, stamp, *numbers in rows:
        family.restore(key, numbers, stamp)

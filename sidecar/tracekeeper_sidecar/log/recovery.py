"""Opens a data directory: what is there, where the log begins and ends, and what damage it has.

Only the newest segment is scanned, because only it can have been cut short by a crash; older ones are checked as they
are read. So opening takes as long for 10 GB as for 10 MB. The newest is cut behind its last whole frame and never
written again: each run starts a segment of its own. Numbers go on behind the highest that any segment, file set aside,
cursor or the log's own state has ever named.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.log import cursor as cursors
from tracekeeper_sidecar.log import segment as segments
from tracekeeper_sidecar.log.decided import decode
from tracekeeper_sidecar.log.files import DEAD_LETTERS, KEPT, METER, NO_ROOM, OWNER_LOCK, RATES, READ_ONLY, Files
from tracekeeper_sidecar.log.frames import Ended, FrameReader
from tracekeeper_sidecar.log.places import newest_in
from tracekeeper_sidecar.log.record import DECIDED
from tracekeeper_sidecar.log.segment import DATA_START, QUARANTINED, Header, Segment, View
from tracekeeper_sidecar.log.slots import SLOTS, Slots
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

STATE = "log"
PROBE = "probe.tmp"
MIN_SPAN = 30
"""Bytes. No valid span is smaller in a payload, so a torn tail of N bytes held at most N / 30 spans."""


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What opening the log found."""

    frames: int = 0
    """Sound frames in the segment that was scanned."""
    spans: int = 0
    """Spans kept in the log, by its sequence numbers."""
    damaged_bytes: int = 0
    """Bytes in the scanned segment that are no frame, the torn tail not counted."""
    lost_spans: int = 0
    """Spans that damage in the scanned segment has taken; each delivery entry counts them when it comes by."""
    torn: int = 0
    """Bytes of writes that a crash cut short: never acknowledged, now removed."""
    torn_spans: int = 0
    """How many spans those can have held at most."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """What somebody should know, one sentence each."""


@dataclass(slots=True)
class Recovered:
    """What the writer starts from."""

    view: View
    next_number: int
    report: RecoveryReport
    passed: int = 0
    """Spans that every delivery entry has passed: what lies before need not be in anybody's way."""


@dataclass(slots=True)
class _Scan:
    frames: int = 0
    damaged: int = 0
    lost: int = 0
    torn: int = 0
    end: int = DATA_START
    seq: int = 0


@dataclass(slots=True)
class _Findings:
    notes: list[str] = field(default_factory=list)
    found: list[Segment] = field(default_factory=list)
    highest: int = 0
    seq: int = 0
    """Spans that cursors and sampling know to have been appended."""
    stated: int = 0
    """Spans that the log's state knows to have been appended before the segments that are there."""
    torn: int = 0
    """Bytes of a segment whose first commit never finished."""
    passed: int = 0
    """Spans before the least cursor; 0 when one cannot be read, because its entry begins anew."""

    def note(self, text: str) -> None:
        self.notes.append(text)
        logger.warning("%s", text)


def recover(directory: str, files: Files, clock: Clock, first_seq: int = 0) -> Recovered:
    """Bring the directory in order. A log that is not there yet begins behind `first_seq` spans.

    Raises OSError when that is not possible, such as on a read-only volume.
    """
    started = clock.monotonic()
    findings = _Findings()
    names = sorted(files.listdir(directory))
    _probe(directory, files)
    _catalogue(directory, files, names, findings)
    _known_elsewhere(directory, files, findings, KEPT in names)
    if first_seq and not (findings.found or findings.highest or findings.seq or findings.stated):
        save_state(directory, files, 1, first_seq)  # From now on the log is there.
        findings.stated = findings.passed = first_seq
    scan = _seal_newest(directory, files, findings)
    base = max(findings.found[-1].base if findings.found else 0, findings.stated)
    seq = max(scan.seq, findings.seq, base)
    if findings.seq > max(scan.seq, base):
        findings.note(
            f"the end of the log in {directory} is gone: {findings.seq - max(scan.seq, base)} spans that a delivery "
            "entry had passed; entries that had not will count them as dropped (damaged)"
        )
    number = findings.highest + 1
    view = View(tuple(findings.found), Position(number, DATA_START, seq))
    report = RecoveryReport(
        frames=scan.frames,
        spans=seq - view.begin.seq,
        damaged_bytes=scan.damaged,
        lost_spans=scan.lost,
        torn=scan.torn + findings.torn,
        torn_spans=(scan.torn + findings.torn) // MIN_SPAN,
        seconds=clock.monotonic() - started,
        notes=tuple(findings.notes),
    )
    return Recovered(view, number, report, findings.passed)


def is_ours(name: str) -> bool:
    """True for every name that the log gives to a file in its directory."""
    return (
        segments.number_of(name) is not None
        or segments.quarantined_number(name) is not None
        or cursors.is_ours(name)
        or name in (PROBE, DEAD_LETTERS, KEPT, OWNER_LOCK)
        or name in {f"{stem}.{slot}" for stem in (STATE, RATES, METER) for slot in SLOTS}
    )


def save_state(directory: str, files: Files, next_number: int, seq: int) -> None:
    """Make the next number and the count of spans survive the deletion of the newest segment. Raises OSError."""
    state = Slots(directory, STATE, files)
    state.load()
    state.save(json.dumps({"next": next_number, "seq": seq}).encode())


def _probe(directory: str, files: Files) -> None:
    """Fail now, with a clear cause, if nothing can be written here. A full volume is no reason: reading goes on."""
    path = f"{directory}/{PROBE}"
    try:
        files.close(files.open(path, write=True, create=True))
    except FileExistsError:
        pass
    except OSError as fault:
        if fault.errno not in NO_ROOM:
            raise
        return
    try:
        files.unlink(path)
    except OSError as fault:
        if fault.errno in READ_ONLY:
            raise


def _catalogue(directory: str, files: Files, names: list[str], findings: _Findings) -> None:
    foreign = [name for name in names if not is_ours(name)]
    if foreign:
        shown = ", ".join(foreign[:5]) + (", …" if len(foreign) > 5 else "")
        findings.note(f"{len(foreign)} files in {directory} are not the log's and were left alone: {shown}")
    newest = max((number for name in names if (number := segments.number_of(name)) is not None), default=0)
    for name in names:
        aside = segments.quarantined_number(name)
        if aside is not None:
            findings.highest = max(findings.highest, aside)
            findings.note(f"{directory}/{name} was set aside earlier and still counts against the quota")
        number = segments.number_of(name)
        if number is not None:
            findings.highest = max(findings.highest, number)
            _enter(directory, files, number, findings, newest=number == newest)


@dataclass(frozen=True, slots=True)
class _Unusable:
    """A file under a segment's name that holds no sound frame."""

    reason: str
    empty: bool = False
    """Nothing but zeros."""
    torn: int = 0
    """Bytes that are not zero although the header was never written."""


def _enter(directory: str, files: Files, number: int, findings: _Findings, *, newest: bool) -> None:
    """Put one segment into the catalogue, or aside, or away if nothing in it was ever acknowledged."""
    path = f"{directory}/{segments.name_of(number)}"
    found = _identify(files, path, number)
    if isinstance(found, Segment):
        findings.found.append(found)
    elif found.empty or (found.torn and newest):
        files.unlink(path)
        findings.torn += found.torn
    else:
        files.rename(path, path + QUARANTINED)
        files.sync_directory(directory)
        findings.note(
            f"{path} cannot be read ({found.reason}) and was renamed to …{QUARANTINED}; "
            "it counts against the quota until somebody removes it"
        )


def _identify(files: Files, path: str, number: int) -> Segment | _Unusable:
    if not files.stat(path).regular:
        return _Unusable("not a regular file")
    frames = FrameReader(files, files.open(path), number)
    try:
        size = files.stat(path).size
        header = segments.decode_header(frames.head(DATA_START), number)
        if isinstance(header, Header):
            return Segment(number, header.base, header.created, size)
        if header.newer:
            return _Unusable(header.reason)
        # Without a sound header the first sound frame says where the segment starts.
        first = frames.next(DATA_START, size, 0)
        if not isinstance(first, Ended):
            return Segment(number, first.frame.seq, first.frame.time, size)
        if frames.unreadable:
            return _Unusable("the volume does not give its contents back")
        if header.empty:
            return _Unusable(header.reason, empty=not first.damaged, torn=first.damaged)
        return _Unusable(header.reason)
    finally:
        frames.close()


def _known_elsewhere(directory: str, files: Files, findings: _Findings, aware: bool) -> None:
    """Numbers and counts that cursors, the log's state and the kept log remember, should segments be gone.

    `aware` tells whether there is a kept log: sampling stands for an entry that has passed what it has decided on.
    """
    store = cursors.CursorStore(directory, files)
    places = []
    for entry in store.names():
        cursor = store.load(entry)
        if cursor is not None:
            findings.highest = max(findings.highest, cursor.position.segment)
            findings.seq = max(findings.seq, cursor.reach)
        if cursor is None or not cursor.removed:
            places.append(0 if cursor is None else cursor.position.seq)
    findings.notes.extend(store.damaged)
    if aware:
        reached = _decided(f"{directory}/{KEPT}", files)
        if reached is not None:
            findings.highest = max(findings.highest, reached.segment)
            findings.seq = max(findings.seq, reached.seq)
            places.append(reached.seq)
    findings.passed = min(places, default=0)
    try:
        number, seq = _state(directory, files)
        findings.highest = max(findings.highest, number)
        findings.stated = seq
    except (ValueError, TypeError, AttributeError):
        findings.note(f"{directory}/{STATE}.* is not understood and was ignored")


def _state(directory: str, files: Files) -> tuple[int, int]:
    """Highest number and count of spans that `save_state` has left; zeros for none."""
    body = Slots(directory, STATE, files).load()
    state = json.loads(body) if body else {}
    return int(state.get("next", 1)) - 1, int(state.get("seq", 0))


def _decided(directory: str, files: Files) -> Position | None:
    """Up to where a kept log says that spans are decided on; None when it says nothing."""
    try:
        numbers = sorted(number for name in files.listdir(directory) if (number := segments.number_of(name)))
        for number in reversed(numbers):
            path = f"{directory}/{segments.name_of(number)}"
            size = files.stat(path).size
            payload = newest_in(files, path, Segment(number, 0, 0.0, size), size, DECIDED)
            if payload is not None:
                return decode(payload)[0].reached
    except (OSError, ValueError) as fault:
        logger.warning("%s cannot be read: %s", directory, fault)
    return None


def known_end(directory: str, files: Files) -> int:
    """Spans that the log's own state knows to have been appended; 0 if it says nothing."""
    try:
        return _state(directory, files)[1]
    except (ValueError, TypeError, AttributeError):
        return 0


def _seal_newest(directory: str, files: Files, findings: _Findings) -> _Scan:
    """Scan the newest segment and cut it behind its last whole frame."""
    if not findings.found:
        return _Scan()
    newest = findings.found[-1]
    path = f"{directory}/{segments.name_of(newest.number)}"
    handle = files.open(path, write=True)
    frames = FrameReader(files, handle, newest.number)
    try:
        scan = _scan(frames, newest)
        unreadable = frames.unreadable
        if scan.end < newest.end and not unreadable:
            files.truncate(handle, scan.end)
        # A process that was killed may have written frames and not synced them; from here on they count.
        files.fdatasync(handle)
    finally:
        frames.close()
    findings.found[-1] = Segment(newest.number, newest.base, newest.created, scan.end)
    if scan.damaged:
        findings.note(f"{path}: {scan.damaged} bytes are damaged, {scan.lost} spans in them are lost")
    if unreadable:
        findings.note(f"{path}: the volume does not give {unreadable} bytes back; what it held there is lost")
    elif scan.torn:
        findings.note(
            f"{path}: the last {scan.torn} bytes were cut short by a crash and removed; they held at most "
            f"{scan.torn // MIN_SPAN} spans, none of them acknowledged unless the volume lost what it had synced"
        )
    return scan


def _scan(frames: FrameReader, newest: Segment) -> _Scan:
    scan = _Scan(seq=newest.base)
    while True:
        found = frames.next(scan.end, newest.end, scan.seq)
        if isinstance(found, Ended):
            scan.torn = found.damaged
            return scan
        scan.frames += 1
        scan.damaged += found.offset - scan.end
        scan.lost += found.frame.seq - scan.seq
        scan.end = found.end
        scan.seq = found.frame.seq + found.frame.spans

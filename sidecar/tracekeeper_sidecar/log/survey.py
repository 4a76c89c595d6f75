"""What a data directory holds, found out without changing anything: for people, on a live directory too.

Cursors are read before segments, so that no cursor seems to stand behind the end of a log that grows meanwhile. A
segment that vanishes while it is being looked at was let go of by the sidecar, and is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tracekeeper_sidecar.ledger import Account, Intake
from tracekeeper_sidecar.log import cursor as cursors
from tracekeeper_sidecar.log import recovery, segment
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.decided import decode
from tracekeeper_sidecar.log.files import KEPT, Files
from tracekeeper_sidecar.log.frames import WIDEST, Ended, Found, FrameReader
from tracekeeper_sidecar.log.record import DECIDED, HEADER_SIZE, TRACES
from tracekeeper_sidecar.log.segment import DATA_START, Header
from tracekeeper_sidecar.model import Position

UNBOUNDED = 1 << 62


@dataclass(slots=True)
class SegmentFound:
    """One segment. Sizes in bytes."""

    number: int
    base: int
    """Spans appended to the log before it."""
    created: float
    """Unix time in seconds; 0 when its header is damaged."""
    size: int
    scanned: bool = False
    """Whether its frames were read; the fields below say nothing otherwise."""
    end: int = 0
    """Spans appended to the log before the frame behind its last."""
    frames: int = 0
    damaged: int = 0
    """Bytes that are no frame, where frames should be."""
    lost: int = 0
    """Spans that the damage has taken."""
    unfinished: int = 0
    """Bytes behind the last frame of the newest segment: a write under way, or one that a crash cut short."""
    unknown: int = 0
    """Frames that do not belong here, or of which this release can make nothing."""
    sampled_out: Counter[str] = field(default_factory=Counter)
    """Spans that sampling left out, by rule; in the kept log."""
    damaged_before: int = 0
    """Spans that damage had taken before sampling came by."""


@dataclass(slots=True)
class CursorFound:
    """One delivery entry, in use or removed."""

    entry: str
    position: Position
    account: Account
    acked: int = 0
    """Spans settled behind the position."""
    removed: float = 0.0
    """Unix time at which the entry left the configuration; 0 while it is in use."""
    pending: int = 0
    """Spans that it has not settled."""


@dataclass(slots=True)
class Survey:
    """All of it."""

    directory: str
    bytes: int = 0
    """Of everything in the directory, as the volume charges for it."""
    segments: list[SegmentFound] = field(default_factory=list)
    cursors: list[CursorFound] = field(default_factory=list)
    intake: Intake | None = None
    set_aside: list[str] = field(default_factory=list)
    """Files that could not be read as segments."""
    foreign: list[str] = field(default_factory=list)
    """Names that are not the log's."""
    end: int = 0
    """Spans ever acknowledged, as far as segments, cursors and the log's state know."""
    problems: list[str] = field(default_factory=list)
    """One text each: what is wrong, what it means, what to do."""
    kept: Survey | None = None
    """The log of what sampling has decided on; its cursors and ledgers count from this log's end."""

    @property
    def begin(self) -> int:
        """Spans before the oldest segment that is left."""
        return self.segments[0].base if self.segments else self.end


def survey(directory: str, files: Files, *, everything: bool) -> Survey:
    """Look at a data directory; with `everything`, read and check each frame of it, else those of the newest segment.

    Raises OSError when the directory itself cannot be read, LogUnavailable when its cursors cannot.
    """
    found = _survey(directory, files, everything, TRACES)
    if KEPT in files.listdir(directory):
        kept = found.kept = _survey(f"{directory}/{KEPT}", files, everything, DECIDED)
        found.end = max(found.end, kept.end)
        _count_pending(found.cursors, found.end)
        _count_pending(kept.cursors, found.end)
    return found


def _survey(directory: str, files: Files, everything: bool, kind: int) -> Survey:
    found = Survey(directory)
    store = CursorStore(directory, files)
    for entry in store.names():
        cursor = store.peek(entry)
        if cursor is not None:
            acked = sum(length for _, length in cursor.acked)
            found.cursors.append(CursorFound(entry, cursor.position, cursor.account, acked, cursor.removed))
            found.end = max(found.end, cursor.reach)
    found.intake = store.load_intake()
    found.problems.extend(store.damaged)
    names = _catalogue(found, files)
    _read_segments(found, files, names, everything, kind)
    ends = [one.end if one.scanned else one.base for one in found.segments]
    found.end = max([found.end, recovery.known_end(directory, files), *ends])
    _count_pending(found.cursors, found.end)
    _check_cursors(found)
    return found


def _count_pending(cursors: Sequence[CursorFound], end: int) -> None:
    for each in cursors:
        each.pending = max(0, end - each.position.seq - each.acked)


def _catalogue(found: Survey, files: Files) -> list[int]:
    """Sort the names. Returns the numbers of the segments."""
    numbers = []
    for name in sorted(files.listdir(found.directory)):
        if name == KEPT:  # It has a quota of its own.
            continue
        number = segment.number_of(name)
        try:
            info = files.stat(f"{found.directory}/{name}")
        except FileNotFoundError:
            continue
        found.bytes += info.charged
        if number is not None and info.regular:
            numbers.append(number)
        elif segment.quarantined_number(name) is not None:
            found.set_aside.append(name)
            found.problems.append(
                f"{found.directory}/{name} could not be read and was set aside by an earlier start; what it held is "
                "counted as damaged. Remove it once you have looked at it: it counts against the quota"
            )
        elif not cursors.is_ours(name) and not recovery.is_ours(name):
            found.foreign.append(name)
    return numbers


def _read_segments(found: Survey, files: Files, numbers: Sequence[int], everything: bool, kind: int) -> None:
    for number in numbers:
        newest = number == numbers[-1]
        path = f"{found.directory}/{segment.name_of(number)}"
        try:
            frames = FrameReader(files, files.open(path), number)
        except FileNotFoundError:
            continue
        except OSError as fault:
            found.problems.append(f"{path} cannot be opened: {fault.strerror or fault}; run this as the sidecar's user")
            continue
        try:
            one = _read_segment(found, files, frames, path, (newest or everything, newest, kind))
        except OSError as fault:
            found.problems.append(f"{path} cannot be read: {fault.strerror or fault}")
            continue
        finally:
            frames.close()
        if one is not None:
            found.segments.append(one)
    for one, behind in zip(found.segments, found.segments[1:], strict=False):
        _check_continuity(found, one, behind)


def _read_segment(
    found: Survey, files: Files, frames: FrameReader, path: str, how: tuple[bool, bool, int]
) -> SegmentFound | None:
    scanned, newest, kind = how
    size = files.stat(path).size
    header = segment.decode_header(frames.head(DATA_START), frames.number)
    if isinstance(header, Header):
        one = SegmentFound(frames.number, header.base, header.created, size)
    else:
        first = frames.next(DATA_START, size, 0)
        if isinstance(first, Ended):
            if not newest:
                found.problems.append(f"{path} holds no frame: {header.reason}. The next start sets it aside")
            return None  # The newest may be a segment whose first commit is under way.
        one = SegmentFound(frames.number, first.frame.seq, 0.0, size)
        found.problems.append(
            f"{path}: the header is damaged ({header.reason}); its first frame stands in for it, nothing is lost. "
            "Look for faults of the volume"
        )
    if scanned:
        _scan(found, frames, one, path, (newest, kind))
    return one


def _scan(found: Survey, frames: FrameReader, one: SegmentFound, path: str, how: tuple[bool, int]) -> None:
    """Read every frame of a segment."""
    newest, kind = how
    one.scanned = True
    offset, seq = DATA_START, one.base
    unmet = {cursor.entry: cursor.position for cursor in found.cursors if cursor.position.segment == one.number}
    while True:
        _meet(unmet, Position(one.number, offset, seq))
        run = frames.run(offset, one.size, seq, UNBOUNDED, UNBOUNDED, WIDEST, 1) if kind == TRACES else None
        if run is not None:
            one.frames += run.frames
            for at, spans, length in frames.listed(offset, run):
                _meet(unmet, Position(one.number, offset, at))
                offset, seq = offset + HEADER_SIZE + length, at + spans
            continue
        sound = frames.next(offset, one.size, seq)
        if isinstance(sound, Ended):
            break
        one.frames += 1
        if sound.frame.type != kind:
            one.unknown += 1
        elif kind == DECIDED:
            _look_into(found, one, path, sound)
        _note_damage(found, one, path, (offset, sound.offset - offset, sound.frame.seq - seq))
        _meet(unmet, Position(one.number, sound.offset, sound.frame.seq))
        offset, seq = sound.end, sound.frame.seq + sound.frame.spans
    _meet(unmet, Position(one.number, offset, seq))
    one.end = seq
    if one.unknown:
        found.problems.append(
            f"{path}: this release can make nothing of {one.unknown} frames: delivery entries count their spans as "
            "dropped (damaged). If a later release wrote them, run that one until they are delivered"
        )
    if newest:
        one.unfinished = sound.damaged
    else:
        _note_damage(found, one, path, (offset, sound.damaged, 0))
    if not one.damaged and not one.unfinished:
        for entry, position in unmet.items():
            found.problems.append(
                f"the cursor of {entry} points to byte {position.offset} of {path}, seq {position.seq}, where no frame "
                "begins: the entry goes on with the next frame behind it, and counts what lies between as damaged"
            )


def _look_into(found: Survey, one: SegmentFound, path: str, sound: Found) -> None:
    """Does a frame of sampling say what its header says?"""
    frame = sound.frame
    try:
        decided, _ = decode(sound.payload)
    except ValueError:
        one.unknown += 1
        return
    one.sampled_out.update(decided.sampled_out)
    one.damaged_before += decided.damaged
    end = frame.seq + frame.spans
    if decided.spans != frame.spans or decided.reached.seq != end:
        found.problems.append(
            f"{path}: the frame at byte {sound.offset} ends at seq {end} after {frame.spans} spans, but by its own "
            f"account {decided.spans} spans were decided on, up to seq {decided.reached.seq}. Please report this with "
            "the output of `log inspect --json`"
        )


def _meet(unmet: dict[str, Position], place: Position) -> None:
    if unmet:
        for entry in [entry for entry, position in unmet.items() if position == place]:
            del unmet[entry]


def _note_damage(found: Survey, one: SegmentFound, path: str, what: tuple[int, int, int]) -> None:
    offset, size, lost = what
    if not size and not lost:
        return
    one.damaged += size
    one.lost += lost
    text = f"{path}: {size} bytes from offset {offset} are damaged"
    held = f", and held {lost} spans" if lost else ""
    found.problems.append(
        f"{text}{held}: delivery entries that come by count them as dropped (damaged) and go on behind them. Look for "
        "faults of the volume"
    )


def _check_continuity(found: Survey, one: SegmentFound, behind: SegmentFound) -> None:
    """The next segment's base says what should have come before it."""
    expected = one.end if one.scanned else one.base
    path = f"{found.directory}/{segment.name_of(behind.number)}"
    if behind.base < one.base:
        found.problems.append(f"{path} says that {behind.base} spans came before it; segment {one.number} says more")
    elif one.scanned and behind.base > expected:
        missing = behind.base - expected
        one.lost += missing
        found.problems.append(
            f"{missing} spans are missing between segment {one.number} and {behind.number}: delivery entries that come "
            "by count them as dropped (damaged). A file was removed, or its end is damaged"
        )
    elif one.scanned:
        one.end = min(one.end, behind.base)  # Frames behind it were written, and never acknowledged.


def _check_cursors(found: Survey) -> None:
    begin = found.begin
    newest = found.segments[-1].number if found.segments else 0
    for cursor in found.cursors:
        who, account, place = f"the cursor of {cursor.entry}", cursor.account, cursor.position
        settled = place.seq + cursor.acked
        if account.start + account.settled() != settled:
            found.problems.append(
                f"the ledger of {cursor.entry} does not close: it began at {account.start} and has settled "
                f"{account.settled()} spans, but its cursor says {settled}. Please report this with the output of "
                "`log inspect --json`"
            )
        if place.segment > newest and place.seq < found.end:
            found.problems.append(
                f"{who} stands in segment {place.segment}, which is newer than the newest file: the end of the log is "
                "gone. What it held is lost; entries that had not delivered it count it as dropped (damaged)"
            )
        if place.seq < begin and not cursor.removed:
            found.problems.append(
                f"{who} stands at seq {place.seq}, before the oldest segment, which begins at {begin}: "
                f"{begin - place.seq} spans that it has not settled are gone. It counts them as dropped (damaged)"
            )

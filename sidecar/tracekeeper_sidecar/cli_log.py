"""The command `tracekeeper-sidecar log`: what a data directory holds, and whether all of it is sound.

Both only read, so a running sidecar need not be stopped. On a live directory counts may be a moment apart.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.survey import CursorFound, SegmentFound, Survey, survey

SOUND, FAILED = 0, 1


def inspect(directory: str, *, as_json: bool) -> int:
    """Print the ledger, the segments, the cursors and what is wrong; returns the exit code: 1 if unreadable."""
    found = _look(directory, everything=False)
    if found is None:
        return FAILED
    if as_json:
        kept = {"kept": _plain(found.kept) | {"begin": found.kept.begin}} if found.kept is not None else {}
        print(json.dumps(_plain(found) | {"begin": found.begin} | kept, indent=2))
    else:
        _print_all(found)
        if found.kept is not None:
            print("\nwhat sampling has decided on")
            _print_all(found.kept, found.end)
    return SOUND


def verify(directory: str) -> int:
    """Read and check everything; returns the exit code: 1 when something is wrong."""
    found = _look(directory, everything=True)
    if found is None:
        return FAILED
    surveys = [found] if found.kept is None else [found, found.kept]
    for each in surveys:
        frames = sum(one.frames for one in each.segments)
        size = sum(one.size for one in each.segments)
        print(
            f"{each.directory}: {frames} frames with {each.end - each.begin} spans in {len(each.segments)} segments, "
            f"{size} bytes, {len(each.cursors)} cursors"
        )
        _print_problems(each)
    if any(each.problems for each in surveys):
        return FAILED
    print("every checksum matches, no span is missing, every cursor is in place, every ledger closes")
    return SOUND


def _look(directory: str, *, everything: bool) -> Survey | None:
    try:
        return survey(directory, SystemFiles(), everything=everything)
    except (OSError, LogUnavailable) as fault:
        cause = fault.strerror if isinstance(fault, OSError) else str(fault)
        print(f"{directory} cannot be read: {cause}; it must be the --data-dir of a sidecar", file=sys.stderr)
        return None


def _plain(value: Any) -> Any:
    """For JSON; dataclasses.asdict makes nonsense of a Counter."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, dict) else value


def _print_all(found: Survey, acknowledged: int | None = None) -> None:
    """`acknowledged` counts the spans that ledgers go by, where the log itself does not."""
    print(f"{found.directory}: {found.bytes} bytes, spans {found.begin} to {found.end}")
    _print_ledger(found, found.end if acknowledged is None else acknowledged)
    _print_table("segments", ("number", "created", "bytes", "first span", "note"), _segment_rows(found.segments))
    _print_table(
        "cursors", ("entry", "segment", "offset", "seq", "settled behind", "note"), _cursor_rows(found.cursors)
    )
    if found.foreign:
        print(f"\nnot the log's, left alone, counted against the quota: {', '.join(found.foreign)}")
    _print_problems(found)


def _print_ledger(found: Survey, acknowledged: int) -> None:
    intake = found.intake
    print(f"\nledger\n  acknowledged {acknowledged}")
    if intake is not None:
        print(
            f"  received {intake.received(acknowledged)} = acknowledged {acknowledged} + refused "
            f"{_by_name(intake.refused)} + filtered {_by_name(intake.filtered)} + suspended {intake.suspended}"
        )
    for cursor in found.cursors:
        print(f"  {cursor.entry}: {acknowledged} = {_terms(cursor.account, cursor.pending)}")
        if cursor.account.redelivered:
            print(f"    redelivered {_by_name(cursor.account.redelivered)}")


def _terms(account: Account, pending: int) -> str:
    return (
        f"before it began {account.start} + delivered {_by_name(account.delivered)} + sampled out "
        f"{_by_name(account.sampled_out)} + unmatched {account.unmatched} + pending {pending} + dropped "
        f"{_by_name(account.dropped)}"
    )


def _by_name(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    names = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count)
    return f"{total} ({names})" if names else str(total)


def _segment_rows(segments: Sequence[SegmentFound]) -> Iterator[tuple[str, ...]]:
    for one in segments:
        created = _time(one.created) if one.created else "unknown"
        notes = []
        if one.damaged or one.lost:
            notes.append(f"{one.damaged} bytes damaged, {one.lost} spans lost")
        if one.sampled_out or one.damaged_before:
            notes.append(f"sampled out {_by_name(one.sampled_out)}, damaged before {one.damaged_before}")
        if one.unfinished:
            notes.append(f"{one.unfinished} bytes behind the last frame: a write under way, or cut short by a crash")
        yield str(one.number), created, str(one.size), str(one.base), "; ".join(notes)


def _cursor_rows(cursors: Sequence[CursorFound]) -> Iterator[tuple[str, ...]]:
    for cursor in cursors:
        place = cursor.position
        note = f"removed {_time(cursor.removed)}, pins nothing" if cursor.removed else ""
        yield cursor.entry, str(place.segment), str(place.offset), str(place.seq), str(cursor.acked), note


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print_table(title: str, head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n{title}")
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_problems(found: Survey) -> None:
    if found.problems:
        print(f"\n{len(found.problems)} problem{'s' if len(found.problems) > 1 else ''}")
    for problem in found.problems:
        print(f"  {problem}")

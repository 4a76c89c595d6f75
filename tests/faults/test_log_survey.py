"""`log inspect` and `log verify`: they see what is there, change nothing, and find every damaged byte."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from log_harness import DIRECTORY, ManualClock, open_log, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar import __main__ as command_line
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.ledger import Account, Intake
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.segment import DATA_START, name_of
from tracekeeper_sidecar.log.survey import Survey, survey
from tracekeeper_sidecar.model import Position

SPANS = 3
PAYLOADS = [b"payload %d" % number * 3 for number in range(6)]


async def small_log(files: SimulatedFiles) -> None:
    """Two segments, one entry in the middle of the first, one removed."""
    for half in (PAYLOADS[:3], PAYLOADS[3:]):
        log = open_log(files)
        for payload in half:
            await log.append(payload, SPANS)
        await log.close()
    log = open_log(files)
    place = read_all(log, max_spans=SPANS)[0].end
    await log.close()
    store = CursorStore(DIRECTORY, files)
    store.save("primary", Cursor(place, Account(delivered=Counter(tempo=5), unmatched=1), ((6, 3),)))
    store.save("gone", Cursor(Position(1, DATA_START, 0), Account(), removed=1_700_000_000.0))
    store.save_intake(Intake(Counter(quota=4), 2, Counter(quota=1)))


def look(files: SimulatedFiles) -> Survey:
    before = files.operations
    found = survey(DIRECTORY, files, everything=True)
    assert files.operations == before, "it changed something"
    return found


async def test_a_sound_directory_is_called_sound_and_its_sums_are_right() -> None:
    files = SimulatedFiles()
    await small_log(files)
    found = look(files)
    assert found.problems == []
    assert (found.begin, found.end, found.bytes) == (0, 18, files.used)
    assert [(one.number, one.base, one.end, one.frames) for one in found.segments] == [(1, 0, 9, 3), (2, 9, 18, 3)]
    gone, primary = found.cursors
    assert (primary.acked, primary.pending, gone.pending) == (3, 12, 18)
    assert gone.removed and found.intake == Intake(Counter(quota=4), 2, Counter(quota=1))
    assert not survey(DIRECTORY, files, everything=False).segments[0].scanned


async def test_every_damaged_byte_of_an_older_segment_is_found() -> None:
    whole = SimulatedFiles()
    await small_log(whole)
    tried = 0
    for offset in range(len(whole.content(name_of(1)))):
        for mask in (1, 0x80, 0xFF):
            files = whole.restart()
            files.content(name_of(1))[offset] ^= mask
            assert look(files).problems, offset
            tried += 1
    for end in range(len(whole.content(name_of(1)))):
        files = whole.restart()
        del files.content(name_of(1))[end:]
        assert look(files).problems, end
        tried += 1
    print(f"{tried} damaged or shortened files")


async def test_a_torn_end_of_the_newest_is_a_write_under_way_and_not_damage() -> None:
    whole = SimulatedFiles()
    await small_log(whole)
    length = len(whole.content(name_of(2)))
    for end in range(DATA_START, length):
        files = whole.restart()
        del files.content(name_of(2))[end:]
        found = look(files)
        assert not [problem for problem in found.problems if "damaged" in problem], end


async def test_ledgers_that_do_not_close_and_cursors_out_of_place_are_named() -> None:
    files = SimulatedFiles()
    await small_log(files)
    store = CursorStore(DIRECTORY, files)
    store.save("primary", Cursor(Position(1, 70, 3), Account(delivered=Counter(tempo=4))))
    store.save("ahead", Cursor(Position(9, 64, 30), Account(start=30)))
    problems = look(files).problems
    assert len([problem for problem in problems if "the ledger of primary does not close" in problem]) == 1
    assert len([problem for problem in problems if "where no frame begins" in problem]) == 1
    files.unlink(f"{DIRECTORY}/{name_of(1)}")
    problems = look(files).problems
    assert any("the cursor of primary stands at seq 3, before the oldest segment" in problem for problem in problems)
    assert not any("gone" in problem.split()[:4] for problem in problems)


async def test_a_missing_segment_and_damaged_cursors_are_problems() -> None:
    files = SimulatedFiles()
    for payload in PAYLOADS:
        log = open_log(files)
        await log.append(payload, SPANS)
        await log.close()
    CursorStore(DIRECTORY, files).save("primary", Cursor(Position(1, DATA_START, 0)))
    files.content("cursor.primary.a")[30] ^= 1
    files.unlink(f"{DIRECTORY}/{name_of(3)}")
    files.put(name_of(2) + ".quarantined", b"?")
    problems = "\n".join(look(files).problems)
    assert "3 spans are missing between segment 2 and 4" in problems
    assert "cursor.primary.a is damaged" in problems
    assert "was set aside by an earlier start" in problems


async def test_the_commands_on_a_live_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(tmp_path / "log")
    log = Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=1 << 20)
    for payload in PAYLOADS:
        await log.append(payload, SPANS)
    CursorStore(directory, SystemFiles()).save("primary", Cursor(log.end, Account(delivered=Counter(tempo=18))))
    assert command_line.main(["log", "inspect", directory]) == 0
    out = capsys.readouterr().out
    assert "primary: 18 = before it began 0 + delivered 18 (tempo 18)" in out
    assert command_line.main(["log", "inspect", "--json", directory]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["end"], found["problems"], found["cursors"][0]["pending"]) == (18, [], 0)
    assert found["cursors"][0]["account"]["delivered"] == {"tempo": 18}
    assert command_line.main(["log", "verify", directory]) == 0
    assert "6 frames with 18 spans in 1 segments" in capsys.readouterr().out
    await log.close()
    log = Log.open(directory, files=SystemFiles(), clock=ManualClock(), quota=1 << 20)
    await log.append(b"another segment", 1)
    await log.close()
    path = tmp_path / "log" / name_of(1)
    path.write_bytes(path.read_bytes()[:-5])
    assert command_line.main(["log", "verify", directory]) == 1
    assert "are damaged" in capsys.readouterr().out
    assert command_line.main(["log", "verify", str(tmp_path / "elsewhere")]) == 1
    assert "it must be the --data-dir of a sidecar" in capsys.readouterr().err

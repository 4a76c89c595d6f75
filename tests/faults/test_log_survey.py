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
from tracekeeper_sidecar.log.decided import Decided, encode
from tracekeeper_sidecar.log.files import KEPT, SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.record import DECIDED, TRACES
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


async def sampled(directory: Path) -> None:
    """A log of 18 spans, of which sampling has decided on 15 and kept 5, in two segments of its own."""
    files, clock = SystemFiles(), SystemClock()
    log = Log.open(str(directory), files=files, clock=clock, quota=1 << 20)
    for payload in PAYLOADS:
        await log.append(payload, SPANS)
    for part in (range(1, 4), range(4, 6)):
        kept = Log.open(str(directory / KEPT), files=files, clock=clock, quota=1 << 20, memory=0)
        for number in part:
            decided = Decided(1, {"rest": SPANS - 1}, 0, log.locate(number * SPANS))
            kept.submit(encode(decided) + b"kept", decided.spans, lambda error: None, kind=DECIDED)
        await kept.close()
    place = read_all(kept, max_spans=2)[0].end
    account = Account(delivered=Counter(tempo=2), sampled_out=Counter(rest=4))
    CursorStore(str(directory / KEPT), files).save("primary", Cursor(place, account))
    await log.close()


async def test_what_sampling_has_decided_on_is_looked_at_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await sampled(tmp_path)
    found = survey(str(tmp_path), SystemFiles(), everything=True)
    kept = found.kept
    assert kept is not None and not found.problems and not kept.problems and not found.foreign
    assert (found.end, kept.begin, kept.end) == (18, 0, 15)
    assert [(one.frames, one.sampled_out) for one in kept.segments] == [(3, {"rest": 6}), (2, {"rest": 4})]
    assert [cursor.pending for cursor in kept.cursors] == [12]
    assert command_line.main(["log", "inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "primary: 18 = before it began 0 + delivered 2 (tempo 2) + sampled out 4 (rest 4)" in out
    assert "sampled out 4 (rest 4), damaged before 0" in out
    assert command_line.main(["log", "inspect", "--json", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["kept"]["segments"][1]["sampled_out"] == {"rest": 4}
    assert command_line.main(["log", "verify", str(tmp_path)]) == 0
    assert "kept: 5 frames with 15 spans in 2 segments" in capsys.readouterr().out
    path = tmp_path / KEPT / name_of(1)
    whole = path.read_bytes()
    for offset in range(0, len(whole), 7):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x80]) + whole[offset + 1 :])
        looked = survey(str(tmp_path), SystemFiles(), everything=True).kept
        assert looked is not None and looked.problems, offset
    assert command_line.main(["log", "verify", str(tmp_path)]) == 1


async def test_frames_that_do_not_belong_are_problems(tmp_path: Path) -> None:
    await sampled(tmp_path)
    wrong = encode(Decided(1, {}, 0, Position(1, 64, 99)))
    for directory, kind, payload in ((tmp_path, DECIDED, wrong), (tmp_path / KEPT, TRACES, b"?")):
        log = Log.open(str(directory), files=SystemFiles(), clock=SystemClock(), quota=1 << 20)
        log.submit(payload, 1, lambda error: None, kind=kind)
        if kind == TRACES:
            log.submit(wrong, 1, lambda error: None, kind=DECIDED)
            log.submit(b"no prefix", 1, lambda error: None, kind=DECIDED)
        await log.close()
    found = survey(str(tmp_path), SystemFiles(), everything=True)
    assert found.kept is not None
    assert [text for text in found.problems if "can make nothing of 1 frames" in text]
    assert [text for text in found.kept.problems if "can make nothing of 2 frames" in text]
    assert [text for text in found.kept.problems if "1 spans were decided on, up to seq 99" in text]

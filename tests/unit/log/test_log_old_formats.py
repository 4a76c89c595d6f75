"""Logs written by earlier releases are kept as files and must stay readable."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from log_harness import DIRECTORY, lost_in, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.ledger import Account, Intake
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.segment import DATA_START
from tracekeeper_sidecar.model import Position


async def test_a_log_of_format_version_1_is_read() -> None:
    files = SimulatedFiles()
    for kept in (Path(__file__).parent / "log-v1").iterdir():
        files.put(kept.name, kept.read_bytes())
    log = open_log(files)
    assert log.recovery.frames == 1
    assert log.recovery.torn == 40 + 7 - 3
    # Spans 1, 2, 3 in the first segment, where the frame of two is damaged; 1 and 2 in the second, whose last is torn.
    assert payloads_of(read_all(log)) == [b"frame 0", b"frame 2", b"frame 3"]
    assert lost_in(read_all(log)) == 2
    assert [batch.critical for batch in read_all(log, max_spans=1)] == [False, True, False]
    assert log.end.seq == 7
    store = CursorStore(DIRECTORY, files)
    cursor = store.load("primary")
    assert cursor is not None
    assert cursor.position == Position(1, DATA_START + 47, 1)
    assert cursor.account == Account(0, Counter(tempo=2), Counter(), Counter(slow=1), 1, Counter(replay=5))
    assert (cursor.acked, cursor.removed) == (((2, 3),), 0.0)
    gone = store.load("gone")
    assert gone is not None
    assert (gone.account, gone.acked, gone.removed) == (Account(0, Counter(old=1)), (), 1_700_000_000.5)
    assert payloads_of(read_all(log, cursor.position)) == [b"frame 2", b"frame 3"]
    assert store.load_intake() == Intake(Counter(full=4), 2, Counter(full=1), Counter(noise=6))
    assert store.damaged == []
    await log.append(b"new", 1)
    assert payloads_of(read_all(log))[-1] == b"new"
    await log.close()

"""Logs written by earlier releases are kept as files and must stay readable."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from log_harness import DIRECTORY, lost_in, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.ledger import Account, Intake
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.decided import decode
from tracekeeper_sidecar.log.record import DECIDED
from tracekeeper_sidecar.log.resume import last_decided, resume
from tracekeeper_sidecar.log.segment import DATA_START
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.wire.remembered import Remembered

KEPT, BY_CHANCE = 1 << 62, 1 << 62 | 29 << 57 | 3 << 54
"""Verdicts: by the first rule, at threshold 0; by the default, at a quarter."""


def old(folder: str) -> SimulatedFiles:
    """A copy of what an earlier release wrote."""
    files = SimulatedFiles()
    for kept in (Path(__file__).parent / folder).iterdir():
        files.put(kept.name, kept.read_bytes())
    return files


def named(*names: bytes) -> bytes:
    """Spans in one scope, with nothing but a name, all of them short."""
    spans = b"".join(bytes([18, len(name) + 2, 42, len(name)]) + name for name in names)
    return bytes([10, len(spans) + 2, 18, len(spans)]) + spans


async def test_a_log_of_format_version_1_is_read() -> None:
    files = old("log-v1")
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


async def test_a_kept_log_of_version_1_is_read() -> None:
    files = old("kept-v1")
    kept = open_log(files)
    # Spans 20 to 29, 30 to 38, and 39 to 43 in a damaged frame; 44 to 46 in the second segment, whose last is torn.
    assert (kept.begin.seq, kept.end.seq, kept.recovery.frames, kept.recovery.torn) == (20, 47, 1, 109)
    batches = read_all(kept, max_spans=1)
    assert [batch.body for batch in batches] == [named(b"a", b"b"), named(b"d")]
    assert [batch.spans for batch in batches] == [2, 1]
    sampled_out: Counter[str] = Counter()
    for batch in batches:
        sampled_out.update(batch.sampled_out)
    assert sampled_out == {"slow": 3, "default": 12, "für später": 2}
    assert lost_in(batches) == 2 + 5
    assert [batch.critical for batch in batches] == [False, True]
    store = CursorStore(DIRECTORY, files)
    cursor = store.load("sampled")
    assert cursor is not None
    assert (cursor.position.seq, cursor.removed) == (30, 0.0)
    assert cursor.account == Account(20, Counter(tempo=2), sampled_out=Counter(slow=3, default=5))
    assert read_all(kept, cursor.position)[0].begin == cursor.position == batches[0].end
    assert store.damaged == []
    newest = last_decided(kept)
    assert newest is not None
    assert (newest.kept, newest.damaged, newest.reached) == (1, 0, Position(4, 64, 47))
    await kept.close()


async def test_what_a_kept_log_of_version_1_decided_holds_for_late_spans() -> None:
    kept = open_log(old("kept-v1"))
    found = Remembered()
    for payload in kept.recent(DECIDED, 1 << 20):
        found.add(decode(payload)[0].verdicts)
    known = {letter: found.get(letter.encode() * 16) for letter in "abcde"}
    assert known == {"a": KEPT, "b": BY_CHANCE, "c": BY_CHANCE - KEPT, "d": 3 << 62 | 30 << 57, "e": 0}
    log = open_log(SimulatedFiles())
    await log.append(b"x", 60)
    assert resume(log, kept) == log.locate(47)
    await log.close()
    await kept.close()

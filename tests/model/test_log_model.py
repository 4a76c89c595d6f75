"""The log against a small model, over a filesystem that drops and reorders what was not synced.

The model knows what was sent and what was acknowledged. Whatever happens in between (crashes of the machine at any
operation, kills of the process, failed syncs, a volume that fills up), reading from the saved cursor gives every
acknowledged payload that is not yet consumed, in order, and nothing that was never sent; the sequence numbers account
for every span; spans are only ever lost if they were not acknowledged.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from log_harness import DIRECTORY, ManualClock, open_log, payloads_of
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogFull, LogUnavailable
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.survey import survey
from tracekeeper_sidecar.model import Batch, Position

QUOTA = 256 << 10
SEGMENT = 16384

LEFT_BEHIND = (
    "was set aside by an earlier start",
    "spans are missing",
    "are damaged",
    "header is damaged",
    "the other copy is used",
)
"""What `log verify` may say of the files that stops and failing disks leave behind."""

sizes = st.lists(st.integers(0, 3000), min_size=1, max_size=6)
chances = st.integers(0, 2**32).map(random.Random)


class LogMachine(RuleBasedStateMachine):
    happened: ClassVar[Counter[str]] = Counter()
    """In all lives."""

    def __init__(self) -> None:
        super().__init__()
        self.happened["lives"] += 1
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.files = SimulatedFiles(sector=128)
        self.spans: list[int] = []
        """Spans of each payload sent; a payload starts with its index."""
        self.acknowledged: set[int] = set()
        self.cursors: list[tuple[Position, int]] = [(Position(0, 0, 0), -1)]
        """What may be on disk as the cursor, and the last payload consumed up to there; the one in use comes first."""
        self.saved = False
        """Whether a cursor was ever saved; the first may be cut short, and leave no other copy."""
        self.lost = 0
        self.used_numbers: set[int] = set()
        self.log: Log

    @initialize(history=st.sampled_from([0, 80_000, QUOTA]), memory=st.sampled_from([0, 20_000, 1 << 20]))
    def begin(self, history: int, memory: int) -> None:
        self.history, self.memory = history, memory
        self.log = self.open()

    def open(self) -> Log:
        log = open_log(
            self.files, self.clock, quota=QUOTA, segment_size=SEGMENT, history=self.history, memory=self.memory
        )
        assert log.end.segment not in self.used_numbers
        found = CursorStore(DIRECTORY, self.files).load("primary")
        position = found.position if found else Position(0, 0, 0)
        assert found is None or found.reach <= log.end.seq, "numbers would be given again that were settled"
        # A save whose sync failed is seen until the machine stops, and then is not: so all stay possible.
        self.cursors.sort(key=lambda cursor: cursor[0] != position)
        assert self.cursors[0][0] == position, "the cursor on disk is none that was saved"
        return log

    def teardown(self) -> None:
        try:
            self.check_everything_pending()
        finally:
            self.runner.run(self.log.close())
            self.runner.close()
        self.look_from_outside()
        self.happened["requests acknowledged and none lost"] += len(self.acknowledged)

    def look_from_outside(self) -> None:
        """What `log verify` says: of what stops leave behind, only damage that was never acknowledged may be told."""
        found = survey(DIRECTORY, self.files, everything=True)
        assert found.end == self.log.end.seq
        assert found.bytes == self.files.used
        known = LEFT_BEHIND if self.saved else (*LEFT_BEHIND, "it starts again from the oldest span")
        for problem in found.problems:
            assert any(words in problem for words in known), problem

    # Sending.

    @rule(sizes=sizes)
    def append(self, sizes: list[int]) -> None:
        self.clock.advance(2)
        self.runner.run(self.send(sizes))

    @rule(sizes=sizes, operations=st.integers(0, 60), chance=chances)
    def append_while_the_machine_stops(self, sizes: list[int], operations: int, chance: random.Random) -> None:
        self.clock.advance(2)
        self.files.stop_after = operations
        self.runner.run(self.send(sizes))
        self.happened["stops in mid-append"] += self.files.stop_after == 0
        event("stopped in mid-append" if self.files.stop_after == 0 else "stopped after the appends")
        self.lose_power(chance)

    @rule(sizes=sizes, operation=st.sampled_from(["fdatasync", "write", "create", "allocate", "truncate"]))
    def append_while_the_disk_fails(self, sizes: list[int], operation: str) -> None:
        self.clock.advance(2)
        self.happened["failing disks"] += 1
        self.files.fault = lambda found, path: OSError(errno.EIO, "I/O error") if found == operation else None
        self.runner.run(self.send(sizes))
        self.files.fault = lambda found, path: None

    async def send(self, sizes: list[int]) -> None:
        first = len(self.spans)
        for size in sizes:
            self.spans.append(size % 7 + 1)
        payloads = [b"%08d" % (first + index) + os.urandom(size) for index, size in enumerate(sizes)]
        tasks = [self.log.append(payload, self.spans[first + index]) for index, payload in enumerate(payloads)]
        for index, result in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            if isinstance(result, Position):
                self.acknowledged.add(first + index)
                self.used_numbers.add(result.segment)
            else:
                assert isinstance(result, LogFull | LogUnavailable), repr(result)

    # Reading.

    @rule(max_spans=st.integers(1, 40), fails=st.booleans(), releases=st.booleans())
    def consume(self, max_spans: int, fails: bool, releases: bool) -> None:
        position, consumed = self.cursors[0]
        batch = self.log.reader(position).read(max_spans, 4000, detailed=True)
        if batch is None:
            return
        consumed = self.check(batch, consumed)
        cursor = batch.end, consumed
        if fails:
            self.files.fault = lambda found, path: OSError(errno.EIO, "I/O error") if found == "fdatasync" else None
        try:
            CursorStore(DIRECTORY, self.files).save("primary", self.cursor(batch.end))
            self.saved = True
            self.cursors = [cursor]
            self.lost += batch.lost
        except LogUnavailable:
            assert fails or self.files.capacity is not None
            self.cursors.append(cursor)
            return
        finally:
            self.files.fault = lambda found, path: None
        if releases:
            self.log.release(batch.end)

    @rule(max_spans=st.integers(1, 40), operations=st.integers(0, 12), chance=chances)
    def consume_while_the_machine_stops(self, max_spans: int, operations: int, chance: random.Random) -> None:
        position, consumed = self.cursors[0]
        batch = self.log.reader(position).read(max_spans, 4000, detailed=True)
        if batch is None:
            return
        self.files.stop_after = operations
        try:
            CursorStore(DIRECTORY, self.files).save("primary", self.cursor(batch.end))
            self.saved = True
            self.log.release(batch.end)
            self.cursors = [(batch.end, self.check(batch, consumed))]
            self.lost += batch.lost
        except LogUnavailable:
            self.cursors.append((batch.end, self.check(batch, consumed)))
        self.lose_power(chance)

    def cursor(self, position: Position) -> Cursor:
        """With the newest span settled out of order, and a ledger that closes."""
        behind = self.log.end.seq - position.seq
        acked = ((behind - 1, 1),) if behind else ()
        return Cursor(position, Account(delivered=Counter(tempo=position.seq + len(acked))), acked)

    def check(self, batch: Batch, consumed: int) -> int:
        assert batch.end.seq - batch.begin.seq == batch.spans + batch.lost
        payloads = payloads_of([batch])
        for payload in payloads:
            index = int(payload[:8])
            assert index > consumed, "a payload came twice or out of order"
            missed = self.acknowledged.intersection(range(consumed + 1, index))
            assert not missed, f"acknowledged and lost: {missed}"
            consumed = index
        assert batch.spans == sum(self.spans[int(payload[:8])] for payload in payloads)
        return consumed

    def check_everything_pending(self) -> None:
        position, consumed = self.cursors[0]
        reader = self.log.reader(position)
        lost = 0
        while (batch := reader.read(50, 5000, detailed=True)) is not None:
            consumed = self.check(batch, consumed)
            lost += batch.lost
        reader.close()
        missed = {index for index in self.acknowledged if index > consumed}
        assert not missed, f"acknowledged and lost at the end: {missed}"
        unacknowledged = sum(self.spans) - sum(self.spans[index] for index in self.acknowledged)
        assert self.lost + lost <= unacknowledged, "spans are counted as lost that were never in doubt"

    # What happens to the process and the machine.

    @rule()
    def close_and_open(self) -> None:
        self.runner.run(self.log.close())
        self.log = self.open()

    @rule()
    def kill_and_open(self) -> None:
        self.happened["kills"] += 1
        after = self.files.restart()
        self.runner.run(self.log.close())
        self.files = after
        self.log = self.open()

    @rule(chance=chances)
    def lose_power(self, chance: random.Random) -> None:
        self.happened["losses of power"] += 1
        after = self.files.crash(chance)
        self.runner.run(self.log.close())
        self.files = after
        self.log = self.open()

    @precondition(lambda self: self.files.capacity is None)
    @rule(room=st.integers(0, 40_000))
    def fill_the_volume(self, room: int) -> None:
        self.files.capacity = self.files.used + room

    @precondition(lambda self: self.files.capacity is not None)
    @rule()
    def make_room_on_the_volume(self) -> None:
        self.files.capacity = None

    @rule()
    def read_all_that_is_pending(self) -> None:
        self.check_everything_pending()

    @invariant()
    def the_end_accounts_for_what_was_acknowledged(self) -> None:
        acknowledged = sum(self.spans[index] for index in self.acknowledged)
        assert acknowledged <= self.log.end.seq <= sum(self.spans)

    @invariant()
    def the_quota_holds(self) -> None:
        assert self.files.largest <= QUOTA


@pytest.mark.timeout(300)  # A second a life on a busy machine.
def test_nothing_acknowledged_is_lost_whatever_happens() -> None:
    chosen = settings(
        max_examples=int(os.environ.get("LOG_MODEL_EXAMPLES", "60")),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(LogMachine, settings=chosen)
    print(*(f"{times} {what}" for what, times in LogMachine.happened.items()), sep=", ")

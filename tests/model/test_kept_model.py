"""The log, the kept log, and a toy of sampling between them, against a model of what was decided on.

Whatever happens to the process, the machine and the disk, every span that was acknowledged since sampling began is
decided on exactly once: its number lies in one frame of the kept log, what was kept is in that frame's request, and
what was left out is counted there by its rule.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from log_harness import DIRECTORY, ManualClock, open_log
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogFull, LogUnavailable
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.decided import Decided, encode
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.record import DECIDED
from tracekeeper_sidecar.log.resume import resume
from tracekeeper_sidecar.model import Batch, Position

QUOTA, KEPT_QUOTA = 256 << 10, 128 << 10
SEGMENT = 16384
RULES = ("first", "second")
OPERATIONS = ["fdatasync", "write", "create", "allocate", "truncate"]

sizes = st.lists(st.integers(0, 2000), min_size=1, max_size=6)
chances = st.integers(0, 2**32).map(random.Random)


@dataclass
class Tally:
    """What the frames of the kept log say, from where sampling began up to some number."""

    seq: int
    kept: list[int] = field(default_factory=list)
    """The payloads, by their numbers, in the order in which they came."""
    sampled_out: Counter[str] = field(default_factory=Counter)
    damaged: int = 0


def verdict(index: int) -> str:
    """The rule that leaves a payload out; empty for one that is kept."""
    return ("", *RULES)[index % 3]


class KeptMachine(RuleBasedStateMachine):
    happened: ClassVar[Counter[str]] = Counter()
    """In all lives."""

    def __init__(self) -> None:
        super().__init__()
        self.happened["lives"] += 1
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.files, self.kept_files = SimulatedFiles(sector=128), SimulatedFiles(sector=128)
        self.spans: list[int] = []
        """Spans of each payload sent; a payload begins with its index."""
        self.acknowledged: dict[int, int] = {}
        """The log's end when each payload was acknowledged."""
        self.log: Log
        self.kept: Log

    @initialize(before=sizes, operations=st.integers(0, 40), chance=chances)
    def begin(self, before: list[int], operations: int, chance: random.Random) -> None:
        self.log = open_log(self.files, self.clock, quota=QUOTA, segment_size=SEGMENT)
        self.runner.run(self.send(before))
        self.first = self.log.end.seq
        self.earlier = len(self.spans)
        # The machine may stop in the middle of it.
        self.kept_files.stop_after = operations
        try:
            kept = self.open_kept()
            self.runner.run(kept.close())
        except LogUnavailable:
            event("stopped while sampling began")
        self.kept_files = self.kept_files.crash(chance)
        self.kept = self.open_kept()
        assert self.kept.end.seq == self.first
        self.settled = Tally(self.first)
        """What the consumer has passed, as saved."""
        self.place = resume(self.log, self.kept)
        assert self.place.seq == self.first

    def open_kept(self) -> Log:
        return open_log(
            self.kept_files, self.clock, quota=KEPT_QUOTA, segment_size=SEGMENT, history=SEGMENT, first_seq=self.first
        )

    def teardown(self) -> None:
        try:
            self.decide_on_everything()
            self.check()
        finally:
            self.runner.run(self.log.close())
            self.runner.run(self.kept.close())
            self.runner.close()
        self.happened["spans decided on"] += self.kept.end.seq - self.first

    # Sending, deciding, delivering.

    @rule(sizes=sizes)
    def append(self, sizes: list[int]) -> None:
        self.clock.advance(2)
        self.runner.run(self.send(sizes))

    @rule(most=st.integers(1, 30))
    def cut(self, most: int) -> None:
        self.clock.advance(2)
        self.runner.run(self.decide(most))

    @rule(most=st.integers(1, 30))
    def deliver(self, most: int) -> None:
        """Pass some of the kept log, for good, and let its segments go."""
        batch = self.kept.reader(self.cursor()).read(most, 4000, detailed=True)
        if batch is None:
            return
        self.count(batch, self.settled)
        account = Account(self.first, delivered=Counter(one=batch.end.seq - self.first))
        CursorStore(DIRECTORY, self.kept_files).save("one", Cursor(batch.end, account))
        self.kept.release(batch.end)

    @rule(sizes=sizes, most=st.integers(1, 30), operation=st.sampled_from(OPERATIONS))
    def work_while_a_disk_fails(self, sizes: list[int], most: int, operation: str) -> None:
        self.append(sizes)
        self.happened["failing disks"] += 1
        for files in (self.files, self.kept_files):
            files.fault = lambda found, path: OSError(errno.EIO, "I/O error") if found == operation else None
        self.cut(most)
        self.append(sizes)
        for files in (self.files, self.kept_files):
            files.fault = lambda found, path: None

    @rule(sizes=sizes, most=st.integers(1, 30), stops=st.tuples(st.integers(0, 60), st.integers(0, 60)), chance=chances)
    def work_while_the_machine_stops(
        self, sizes: list[int], most: int, stops: tuple[int, int], chance: random.Random
    ) -> None:
        self.files.stop_after, self.kept_files.stop_after = stops
        for _ in range(3):
            self.append(sizes)
            self.cut(most)
        self.happened["stops in mid-work"] += 0 in (self.files.stop_after, self.kept_files.stop_after)
        event(f"stopped: log {self.files.stop_after == 0}, kept log {self.kept_files.stop_after == 0}")
        self.lose_power(chance)

    async def send(self, sizes: list[int]) -> None:
        first = len(self.spans)
        self.spans += [size % 7 + 1 for size in sizes]
        payloads = [b"%08d" % (first + index) + os.urandom(size) for index, size in enumerate(sizes)]
        tasks = [self.log.append(payload, self.spans[first + index]) for index, payload in enumerate(payloads)]
        for index, result in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            if isinstance(result, Position):
                self.acknowledged[first + index] = result.seq
            else:
                assert isinstance(result, LogFull | LogUnavailable), repr(result)

    async def decide(self, most: int) -> bool:
        """Cut the next stretch of the log, as far as it is decided on; False when there is none or no room for it."""
        batch = self.log.reader(self.place).read(most, 4000, detailed=True)
        if batch is None:
            return False
        kept: list[int] = []
        decided = Decided(0, Counter(), batch.lost, batch.end)
        for frame in batch.frames:
            index = int(batch.body[frame.offset : frame.offset + 8])
            assert self.spans[index] == frame.spans
            rule_name = verdict(index)
            if rule_name:
                decided.sampled_out[rule_name] = decided.sampled_out.get(rule_name, 0) + frame.spans  # type: ignore[index]
            else:
                kept.append(index)
        decided = decided._replace(kept=sum(self.spans[index] for index in kept))
        assert decided.spans == batch.end.seq - batch.begin.seq
        answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        body = b"".join(b"%08d" % index for index in kept)
        self.kept.submit(encode(decided) + body, decided.spans, answered.set_result, kind=DECIDED)
        if await answered is not None:
            return False
        self.place = batch.end
        assert self.kept.end.seq == self.place.seq
        self.log.release(self.place)
        return True

    # What happens to the process and the machine.

    def reopen(self, files: SimulatedFiles, kept_files: SimulatedFiles) -> None:
        self.runner.run(self.log.close())
        self.runner.run(self.kept.close())
        self.files, self.kept_files = files, kept_files
        self.log = open_log(self.files, self.clock, quota=QUOTA, segment_size=SEGMENT)
        self.kept = self.open_kept()
        assert self.kept.end.seq >= self.place.seq, "what was decided on is forgotten"
        self.place = resume(self.log, self.kept)
        assert self.place.seq == self.kept.end.seq
        self.log.release(self.place)
        self.kept.release(self.cursor())

    @rule()
    def close_and_open(self) -> None:
        self.reopen(self.files, self.kept_files)

    @rule()
    def kill_and_open(self) -> None:
        self.happened["kills"] += 1
        self.reopen(self.files.restart(), self.kept_files.restart())

    @rule(chance=chances)
    def lose_power(self, chance: random.Random) -> None:
        self.happened["losses of power"] += 1
        self.reopen(self.files.crash(chance), self.kept_files.crash(chance))

    # What must hold.

    def cursor(self) -> Position:
        found = CursorStore(DIRECTORY, self.kept_files).load("one")
        return found.position if found is not None else self.kept.begin

    def count(self, batch: Batch, into: Tally) -> None:
        """Take the frames of a batch of the kept log into a tally."""
        assert into.seq == batch.begin.seq
        for frame in batch.frames:
            body = batch.body[frame.offset : frame.offset + frame.length]
            indices = [int(body[at : at + 8]) for at in range(0, len(body), 8)]
            assert frame.kept == sum(self.spans[index] for index in indices)
            into.kept += indices
        into.sampled_out.update(batch.sampled_out)
        into.damaged += batch.lost
        into.seq = batch.end.seq

    def decide_on_everything(self) -> None:
        """As far as there is room; what is delivered makes some."""
        self.clock.advance(2)
        while True:
            if self.runner.run(self.decide(30)):
                continue
            if self.place.seq == self.log.end.seq:
                return
            self.clock.advance(2)
            assert self.settled.seq < self.kept.end.seq, "no room although all is delivered"
            self.deliver(30)

    @rule()
    def check(self) -> None:
        """Every number was decided on once, in order, and as the rules say."""
        found = Tally(
            self.settled.seq, list(self.settled.kept), Counter(self.settled.sampled_out), self.settled.damaged
        )
        reader = self.kept.reader(self.cursor())
        while (batch := reader.read(50, 5000, detailed=True)) is not None:
            self.count(batch, found)
        reader.close()
        end = self.kept.end.seq
        assert found.seq == end
        kept = sum(self.spans[index] for index in found.kept)
        assert self.first + kept + found.sampled_out.total() + found.damaged == end
        assert found.kept == sorted(set(found.kept)), "a payload was decided on twice, or out of order"
        assert not any(verdict(index) for index in found.kept), "what was left out is there"
        since = {index for index, seq in self.acknowledged.items() if index >= self.earlier and seq <= end}
        missed = {index for index in since if not verdict(index)}.difference(found.kept)
        assert not missed, f"kept, and not there: {missed}"
        for name in RULES:
            left_out = sum(self.spans[index] for index in since if verdict(index) == name)
            everything = sum(
                spans for index, spans in enumerate(self.spans) if index >= self.earlier and verdict(index) == name
            )
            assert left_out <= found.sampled_out.get(name, 0) <= everything
        never = sum(self.spans) - sum(self.spans[index] for index in self.acknowledged)
        assert found.damaged <= never, "spans are counted as lost that were never in doubt"


@pytest.mark.timeout(300)  # A second a life on a busy machine.
def test_every_span_is_decided_on_once_whatever_happens() -> None:
    chosen = settings(
        max_examples=int(os.environ.get("LOG_MODEL_EXAMPLES", "40")),
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(KeptMachine, settings=chosen)
    print(*(f"{times} {what}" for what, times in KeptMachine.happened.items()), sep=", ")

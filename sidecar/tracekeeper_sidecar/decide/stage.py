"""Sampling at work: between the log, in which spans are safe, and the kept log, which delivery entries read.

    log ──fold──▶ table of open traces ──decide──▶ verdicts
     └───────────cut, in the log's order──────────────┴──▶ kept log

Nothing is kept in memory but a summary of each open trace. A stretch of the log is cut as soon as all its traces are
decided, and goes into the kept log as one frame with the place that has been reached and the verdicts that are new: so
a crash in between repeats nothing and forgets nothing. Whatever has not been cut is folded again after a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.decide import rates
from tracekeeper_sidecar.decide.coordinator import Coordinator, OnRescue, State, drop
from tracekeeper_sidecar.decide.decider import ADJUST, Decider
from tracekeeper_sidecar.decide.health import StageHealth
from tracekeeper_sidecar.decide.overload import Change, Load, Overload, OverloadSettings
from tracekeeper_sidecar.decide.rules import Numbers, Rules
from tracekeeper_sidecar.decide.spread import Spread
from tracekeeper_sidecar.decide.writer import KeptWriter
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.decided import decode
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import Reader
from tracekeeper_sidecar.log.record import DECIDED
from tracekeeper_sidecar.model import Batch, Position
from tracekeeper_sidecar.threads import in_thread
from tracekeeper_sidecar.wakeup import Signal
from tracekeeper_sidecar.wire.fold import Folder
from tracekeeper_sidecar.wire.keep import Cut, Keep
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.told import Told
from tracekeeper_sidecar.wire.traces import SHUTDOWN, Traces
from tracekeeper_spec.sampling import Sampling

logger = logging.getLogger(__name__)

TICK, SLOW_TICK, REST = 0.05, 0.25, 300.0
"""Seconds between turns: while something moves, while traces wait for their time, and while there is nothing to do."""
QUIET = 2.0
"""Seconds without a new span after which a trace whose root has ended is decided."""
FOLD_SPANS, FOLD_BYTES = 8192, 1 << 20
"""Of one batch."""
FOLD_SECONDS = 0.5
"""Between the first and the last frame of one batch, all of whose spans count as having come with the last."""
FOLDED_AT_ONCE = 16
"""Batches folded before traces are decided again."""
CUT_SPANS, CUT_BYTES = 4096, 1 << 20
WARM_BYTES = 2 << 20
"""So close behind the end the newest frames are in memory, and reading needs no thread."""
NEAR, PIECE, PIECE_SPANS = 1 << 20, 1 << 18, 2048
"""So many bytes behind the end, batches have so many bytes and spans at most: there is nothing to catch up with, and
large ones leave holes in memory."""
DUE = 1024
"""Traces decided in one go, which takes some milliseconds; others have their turn in between."""
MOST_TRACES = 1_500_000
"""In the table, decided or not: no more is folded before some have been cut."""
SPARE = 100_000
"""Traces by which what is folded last may go beyond that."""
RECALLED = 64 << 20
"""Bytes of the kept log that a start looks through for verdicts."""
SAVE = 30.0
"""Seconds between saves of the rates that have been learned."""
HURRIED = 1.0
"""Seconds for which traces are decided at once when the log is nearly full."""
BOUNDS = OverloadSettings()
NEVER = float("-inf")
STUCK = 3.0
"""Seconds after which a problem is taken to last."""
PAUSE = 1.0
"""Seconds until a disk that has failed is tried again."""


class Stage:
    """Owned by one event loop. `reached` and what follows from it may be read at any time."""

    def __init__(
        self,
        log: Log,
        kept: Log,
        clock: Clock,
        sampling: Sampling,
        begin: Position,
        on_reached: Callable[[], None] = lambda: None,
        on_rescue: OnRescue = drop,
        saved: rates.RatesFile | None = None,
        overload: OverloadSettings = BOUNDS,
    ) -> None:
        """`begin` is where in `log` the kept log's end stands: everything before it has been cut. `on_rescue` is handed
        traces that another sidecar keeps and that have been left out here; `saved` keeps rates across restarts."""
        self.reached = begin
        """What is before it is durable in the kept log; `log` may let it go."""
        self._cut_up_to = begin
        """The same without waiting for the disk."""
        self._log, self._kept, self._clock = log, kept, clock
        self._on_reached, self._saved = on_reached, saved
        self._problem = ""
        """Why the log cannot be read; empty while it can."""
        self._problem_since = 0.0
        self._numbers = Numbers()
        self._rules = Rules(sampling, self._numbers)
        self._signal = Signal(clock)
        self._idle = self._ended = False
        self._finishing = 0
        """How many wait for everything to be decided."""
        self._hurried = NEVER
        """Monotonic time up to which whatever is open is decided at once."""
        self._hurries = 0
        self._rates_saved = clock.monotonic()
        self._borders: list[int] = []
        self._next: Rules | None = None
        """Rules that are to hold from the next turn on."""
        self._remembered = Remembered()
        self._verdicts: list[bytes] = []
        """Those that no frame of the kept log holds yet."""
        self._told = Told()
        """What others keep of which nothing has come here."""
        self._spread = Spread(self._numbers.name, clock.now)
        self._decider = Decider(self._rules, self._remembered, self._told, self._spread, clock.monotonic(), clock.now())
        self.coordinator = Coordinator(
            clock,
            self._decider,
            self._remembered,
            self._told,
            self._numbers,
            self._spread,
            lambda: State(self._table, self._cut_up_to),
            self._record,
            on_rescue,
        )
        """Where what other sidecars do comes in, and what they are to know goes out."""
        self._writer = KeptWriter(kept, clock)
        self._overload = Overload(overload, clock.monotonic(), _say)
        self._begin()
        log.on_committed(self._committed)

    @property
    def problem(self) -> str:
        """Why nothing moves; empty while it does."""
        return self._problem or self._writer.problem

    @property
    def stuck(self) -> bool:
        """Whether that has been so for longer than a kept log takes to go on when there is room."""
        since = self._problem_since if self._problem else self._writer.since
        return bool(self.problem) and self._clock.monotonic() - since > STUCK

    def configure(self, sampling: Sampling) -> None:
        """Decide by this section from now on; traces that are open, too."""
        if sampling == (self._next or self._rules).spec:
            return
        # Not in the middle of a turn: what is folded has been asked what the old rules wanted to know.
        self._next = Rules(sampling, self._numbers)
        self._signal.fire()

    async def run(self) -> None:
        """Work until cancelled. May be called again: what was not cut is folded anew."""
        try:
            await self._recall()
            self._begin()
            await self._work()
        finally:
            self._close()

    async def _work(self) -> None:
        while True:
            if self._next is not None:
                self._rules, self._next = self._next, None
                self._decider.configure(self._rules, self._clock.monotonic(), self._clock.now())
                self._close()
                self._begin()
            try:
                moved = await self._turn()
                self._problem = ""
            except LogUnavailable as error:
                if str(error) != self._problem:
                    logger.error("sampling waits, and spans with it: %s", error)
                if not self._problem:
                    self._problem_since = self._clock.monotonic()
                self._problem = str(error)
                await self._clock.sleep(PAUSE)
                continue
            await self._rest(moved)

    def border(self, seq: int) -> None:
        """Let a frame of the kept log end at `seq` spans, a place between two frames of the log that is not cut yet."""
        self._borders.append(seq)

    def hurry(self) -> None:
        """The log is nearly full of spans that wait for a decision: decide by what is known, before it must refuse."""
        now = self._clock.monotonic()
        if now > self._hurried + HURRIED:
            self._hurries += 1
            logger.warning("sampling: the log is nearly full, traces are decided before they are whole")
        self._hurried = now + HURRIED
        self._signal.fire()

    def end(self) -> None:
        """No more work to come, and nothing to wait for."""
        self._ended = True
        self._log.off_committed(self._committed)

    async def finish(self, until: Position, timeout: float) -> bool:  # noqa: ASYNC109 (the clock is a parameter)
        """Decide about everything before `until` now, as it is; False when time is up before it has been cut."""
        deadline = self._clock.monotonic() + timeout
        self._finishing += 1
        self._signal.fire()
        try:
            while self.reached.seq < until.seq and not self._ended:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return False
                await self._clock.sleep(min(left, TICK))
            return True
        finally:
            self._finishing -= 1

    def verdict(self, trace_id: bytes) -> int:
        """What was decided about a trace, as `wire.traces.verdict` writes it; 0 if that is not known, or no longer.

        Nor is it of a trace that was handed to rescue: whether its spans have come to a backend is not known here.
        """
        return 0 if self.coordinator.handed.get(trace_id) else self._remembered.get(trace_id)

    def health(self) -> StageHealth:
        """What can be said about it now."""
        decider, now = self._decider, self._clock.monotonic()
        undecided = max(0, self._log.end.seq - self.reached.seq)
        return StageHealth(
            open_traces=self._table.open,
            table_bytes=self._table.memory
            + self._remembered.memory
            + self._told.memory
            + self.coordinator.handed.memory,
            undecided=undecided,
            lag=max(0.0, self._clock.now() - self._oldest) if undecided and self._oldest else 0.0,
            kept=self._named(decider.kept),
            left_out=self._named(decider.left_out),
            late=decider.late,
            overloaded=self._overload.active,
            overloads=Counter(self._overload.entered),
            overload_seconds=self._overload.seconds,
            hurried=now < self._hurried,
            hurries=self._hurries,
            probability=decider.probability,
            pinned=decider.pinned(now),
            share=decider.part(now),
            floor=decider.floor(now),
            sidecars=decider.share.sidecars,
            told=Counter(self.coordinator.met),
            spread=Counter(handed_over=self._spread.told, dropped=self._spread.dropped),
            problem=self.problem,
        )

    def _named(self, counts: Counter[int]) -> Counter[str]:
        named: Counter[str] = Counter()
        for number, count in counts.items():
            named[self._numbers.name(number)] += count
        return named

    # Beginning.

    def _begin(self) -> None:
        """Fold from where the last frame of the kept log has reached. What was decided since then is remembered."""
        spec, codes = self._rules.spec, self._rules.codes
        wait = 0 if self._rules.by_id else int(spec.decision_wait * 1000)
        self._table = Traces(
            wait_ms=wait,
            quiet_ms=min(int(QUIET * 1000), wait),
            max_spans=spec.max_spans_per_trace,
            limit=MOST_TRACES + SPARE,
        )
        self._folder = Folder(self._table, codes.span_tests, codes.root_tests, self._decider.keys, codes.sums)
        self._keep = Keep(self._table, self._verdict_of_unknown)
        self._fold_spans = FOLD_SPANS
        self._fold_reader: Reader = self._log.reader(self.reached)
        self._cut_reader: Reader = self._log.reader(self.reached)
        self._batch: Batch | None = None
        self._blocked: bytes | None = None
        self._oldest = 0.0
        self._folded: float | None = None
        """When the newest span that is folded came, while there are more; what is due goes by that then."""
        self._cut_up_to = self.reached
        self._adjusted = self._begun = self._clock.monotonic()

    def _close(self) -> None:
        """Let the files go: one that is open takes its room although it has been deleted."""
        self._fold_reader.close()
        self._cut_reader.close()

    async def _recall(self) -> None:
        """Take the verdicts of the newest frames back to mind, so that late spans follow them."""
        packed = await asyncio.to_thread(_recent_verdicts, self._kept)
        for verdicts in (*packed, *self._verdicts):
            self._remembered.add(verdicts)
        decider = self._decider
        if self._saved is not None and decider.adaptive is not None and decider.keys is not None:
            body, now = await asyncio.to_thread(self._saved.load), self._clock.monotonic()
            if body is not None and not rates.restore(body, decider.adaptive, decider.keys, decider.share, now):
                logger.warning("the rates of adaptive sampling are learned anew: those saved are of another kind")

    # One turn.

    async def _turn(self) -> bool:
        """Fold what has come, decide what is due, cut what is decided. True when anything of it moved."""
        folded = await self._fold()
        self._adjust()
        await self._save()
        decided = await self._decide()
        cut = await self._cut()
        return folded or decided or cut

    async def _fold(self) -> bool:
        reader, folded = self._fold_reader, 0
        while folded < FOLDED_AT_ONCE and self._table.count < MOST_TRACES:
            batch = await self._read(reader, self._fold_spans, FOLD_BYTES, self._log.end.seq)
            if batch is None:
                break
            if batch.newest - batch.oldest > FOLD_SECONDS and self._fold_spans > 1:
                self._fold_spans = max(1, min(self._fold_spans, batch.spans) // 8)
                reader.seek(batch.begin)
                continue
            self._fold_spans = min(FOLD_SPANS, 2 * self._fold_spans)
            if batch.spans:
                try:
                    self._folder.fold(batch.body, int(batch.newest * 1000))
                except ValueError as error:
                    logger.error("%d spans cannot be sampled, and are kept: %s", batch.spans, error)
            folded += 1
            self._folded = batch.newest or self._folded
            await asyncio.sleep(0)
        else:
            return folded > 0  # There is more: nobody knows yet what has come since.
        self._folded = None
        return folded > 0

    def _adjust(self) -> None:
        now = self._clock.monotonic()
        if now - self._adjusted >= ADJUST:
            self._adjusted = now
            self._decider.tick(now, self._clock.now())
            wait = self._rules.spec.decision_wait
            lag = max(0.0, self._clock.now() - self._oldest - wait) if self._oldest else 0.0
            # No overload: that it did not run, or that what is kept could not be stored.
            lag = min(lag, now - max(self._begun, self._writer.well_since))
            self._overload.observe(now, Load(self._table.open, self._table.memory, lag))

    async def _save(self) -> None:
        decider, now = self._decider, self._clock.monotonic()
        if self._saved is None or decider.adaptive is None or decider.keys is None or now - self._rates_saved < SAVE:
            return
        self._rates_saved = now
        body = rates.saved(decider.adaptive, decider.keys, decider.share, now)
        await asyncio.to_thread(self._saved.save, body)

    async def _decide(self) -> bool:
        hurried = self._clock.monotonic() < self._hurried
        at_once = self._finishing or hurried or self._overload.active
        now = self._clock.now() if self._folded is None else self._folded
        due = SHUTDOWN if at_once else int(now * 1000)
        decided = 0
        while slots := self._table.due(due, DUE):
            self._decider.decide(self._table, slots, self._overload.active)
            self._remember(slots)
            decided += len(slots)
            if len(slots) < DUE:
                break
            await asyncio.sleep(0)
        return decided > 0

    def _remember(self, slots: list[int]) -> None:
        self._record(self._table.pack(slots))

    def _record(self, packed: bytes) -> None:
        self._remembered.add(packed)
        self._verdicts.append(packed)

    async def _cut(self) -> bool:
        moved = False
        while True:
            batch = self._batch or await self._read(self._cut_reader, CUT_SPANS, CUT_BYTES, self._next_border())
            if batch is None:
                self._oldest = 0.0
                return moved
            self._batch, self._oldest = batch, batch.oldest
            if self._blocked is not None and self._is_open(self._blocked):
                return moved
            if not await self._cut_one(batch):
                return moved
            self._batch = self._blocked = None
            moved = True

    async def _cut_one(self, batch: Batch) -> bool:
        """Hand on what is kept of a batch; False when a trace in it is open."""
        body, kept, counts = b"", 0, Counter[str]()
        if batch.spans:
            try:
                cut = self._keep.cut(batch.body)
            except ValueError:
                cut = Cut(batch.body, batch.spans, [])  # As folding has said.
            if cut is None:
                self._blocked = self._keep.blocked_by
                return False
            body, kept = cut.body, cut.kept
            for number, spans in enumerate(cut.left_out):
                if spans:
                    counts[self._numbers.name(number)] += spans
            if kept + sum(counts.values()) != batch.spans:
                # Both logs must go on counting the same spans.
                logger.error("a request of %d spans is not what it was counted as, and is kept", batch.spans)
                body, kept, counts = batch.body, batch.spans, Counter()
        self._cut_up_to = batch.end
        count, verdicts = len(self._verdicts), b"".join(self._verdicts)
        await self._writer.write(body, kept, counts, batch, verdicts)
        del self._verdicts[:count]  # Others may have come meanwhile.
        self.reached = batch.end
        self._on_reached()
        return True

    def _verdict_of_unknown(self, trace_id: bytes) -> int:
        """On a trace that the table does not have: one decided before, or that found no room there."""
        known = self._remembered.get(trace_id)
        if not known:
            known = self._decider.by_trace_id(trace_id)
            self._record(trace_id + known.to_bytes(8))
        return known

    def _next_border(self) -> int:
        """Up to where the next batch may be cut: what has been folded, and no frame across a border."""
        at = self._cut_reader.position.seq
        self._borders = [border for border in self._borders if border > at]
        return min([self._fold_reader.position.seq, *self._borders])

    def _is_open(self, trace_id: bytes) -> bool:
        slot = self._table.find(trace_id)
        return slot >= 0 and self._table.verdict(slot) is None

    async def _read(self, reader: Reader, spans: int, size: int, until: int) -> Batch | None:
        """The next batch that ends at `until` or before."""
        begin = reader.position
        if begin.seq >= until:
            return None
        reach = until - begin.seq
        end = self._log.end
        if begin.segment == end.segment and end.offset - begin.offset <= WARM_BYTES:
            if end.offset - begin.offset <= NEAR:
                spans, size = min(spans, PIECE_SPANS), min(size, PIECE)
            return reader.read(spans, size, reach=reach)
        return await in_thread(partial(reader.read, spans, size, reach=reach))

    # Between turns.

    def _committed(self) -> None:
        if self._idle:
            self._signal.fire()

    async def _rest(self, moved: bool) -> None:
        self._idle = not self._table.count and self._fold_reader.position.seq >= self._log.end.seq
        try:
            await self._signal.wait(REST if self._idle else TICK if moved else SLOW_TICK)
        finally:
            self._idle = False


def _recent_verdicts(kept: Log) -> list[bytes]:
    found = []
    for payload in kept.recent(DECIDED, RECALLED):
        try:
            found.append(decode(payload)[0].verdicts)
        except ValueError:
            continue  # Of a later release, or damaged: its spans are counted as lost by those who read them.
    return found


def _say(change: Change) -> None:
    (logger.warning if change.cause else logger.info)("sampling: %s", change.reason)

"""The meter at work: a pass of its own over the log, which counts what was acknowledged, exactly once.

    log ──take──▶ counts, open traces, conversations ──▶ a reading, for whoever asks
                       └── every 10 s, with the place reached ──▶ checkpoint

It holds up nobody: what it has not counted is kept in the log while there is room, and gives way when there is none;
`tracekeeper_meter_missed_spans_total` says then how many spans that were.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import partial

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import Reader
from tracekeeper_sidecar.meter import checkpoint, tables
from tracekeeper_sidecar.meter.checkpoint import CheckpointFile, TooLarge
from tracekeeper_sidecar.meter.families import (
    METER_LAG,
    METER_MISSED,
    METER_OVERFLOW,
    METER_ROWS,
    METERING,
)
from tracekeeper_sidecar.meter.reading import Reading, Row
from tracekeeper_sidecar.meter.rest import Rest
from tracekeeper_sidecar.meter.spend import Spend
from tracekeeper_sidecar.model import Batch, Position
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.threads import in_thread
from tracekeeper_sidecar.wakeup import Signal
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs
from tracekeeper_sidecar.wire.waiting import SINCE, TICK
from tracekeeper_spec.price import NO_PRICE, Price

logger = logging.getLogger(__name__)

TURN, WAIT, IDLE = 0.1, 0.5, 60.0
"""Seconds between turns while spans come, while what has come waits for its time, and while there is nothing."""
SETTLE = 0.5
"""Seconds between looks at what has waited long enough."""
SAVE = 10.0
"""Seconds between checkpoints: so much is read again after a crash."""
SPANS, BYTES = 2048, 1 << 20
"""Of one batch, which is counted in one go: less than a millisecond."""
NOTED = 256
"""The same where what each call has cost is noted: that takes some microseconds a call."""
ASKS = 8
"""Questions for prices in one go, which take some hundred microseconds each."""
AT_ONCE = 16
"""Batches in one turn."""
BETWEEN = 0.5
"""Seconds between the first and the last frame of one batch, all of whose spans count as having come with the last."""
WARM_BYTES = 2 << 20
"""So close behind the end the newest frames are in memory, and reading needs no thread."""
PAUSE = 1.0
"""Seconds until a disk that has failed is tried again."""
MINUTE = 60_000 // TICK


class Stage:
    """Owned by one event loop."""

    def __init__(self, log: Log, clock: Clock, file: CheckpointFile) -> None:
        self.missed = 0
        """Spans that were acknowledged and cannot be counted any more."""
        self.problem = ""
        """Why nothing moves, or nothing is kept; empty while all is well."""
        self.ready = False
        """Whether everything is counted that an earlier process had: before that the counts may be lower than those
        that it has shown, and who sees a count fall takes it for one that began anew."""
        self._old = 0
        """The youngest of the rows that the earlier process may have shown."""
        self._log, self._clock, self._file = log, clock, file
        self._spend = Spend(secrets.token_hex(16), clock.now)
        self._alerts = ""
        self._price = NO_PRICE
        self._signal = Signal(clock)
        self._resting = self._loaded = self._pressed = False
        self._spans = SPANS
        self._lock = asyncio.Lock()
        self._batch: Batch | None = None
        """What is being counted: `_done` of its spans are."""
        self._done = 0
        self._counted_to = log.begin
        """Where it begins."""
        self._begin(log.begin)
        self._saved_at = self._settled_at = self._rested_at = clock.monotonic()
        self._saved: int | None = None
        """Up to where the last checkpoint goes; None before there is one."""
        self._waited = (0, 0)
        """Traces and records that waited then."""
        log.on_committed(self._committed)
        log.on_pressure(self._press)
        log.wish(log.begin)  # Until it is known up to where an earlier process has counted.

    @property
    def spend(self) -> Spend:
        """What calls of models have cost, for the operator."""
        return self._spend

    @property
    def counted(self) -> Position:
        """Everything before it is counted, or waits with its trace."""
        return self._counted_to if self._batch is not None else self._reader.position

    def configure(self, alerts: str, price: Price) -> None:
        """From now on the config whose alerts hold is `alerts` (`namespace/name`, or empty), and `price` comes before
        the book, for calls that no step has given a price."""
        self._alerts = alerts
        if price != self._price:
            self._price = price
            self._tariffs.forget(asking(Prices(price)))

    async def run(self) -> None:
        """Count until cancelled. May be called again."""
        while True:
            try:
                while True:
                    async with self._lock:
                        await self._load()
                        moved = await self._turn()
                        if self._pressed or self._clock.monotonic() - self._saved_at >= SAVE:
                            await self._save()
                    await self._rest(moved)
            except LogUnavailable as error:
                self._say(str(error))
                await self._clock.sleep(PAUSE)

    async def finish(self) -> None:
        """Count all that there is, what waits included, and keep it: nothing more is to come. Raises LogUnavailable."""
        async with self._lock:
            await self._load()
            while await self._turn():
                pass
            self._tally.settle(int(self._clock.now() * 1000), everything=True)
            await self._save(last=True)

    async def checkpoint(self) -> None:
        """Keep what is counted by now."""
        async with self._lock:
            await self._load()
            await self._save()

    def close(self) -> None:
        """No more is to be read."""
        self._log.off_committed(self._committed)
        self._reader.close()

    def read(self) -> Reading:
        """A copy of this moment; made on the event loop."""
        copy, alerts = tables.copy_of(self._tally), self._alerts
        counted = [(metric.name, copy.families[name]) for name, metric in tables.COUNTED.items()]
        own = {
            METERING: (Row((alerts,), 1.0, 0),),
            METER_MISSED: (Row((alerts,), float(self.missed), 0),),
            METER_LAG: (Row((alerts,), self._lag(), 0),),
            METER_ROWS: tuple(Row((alerts, name), float(len(family)), 0) for name, family in counted),
            METER_OVERFLOW: tuple(Row((alerts, name), float(family.overflow), 0) for name, family in counted),
        }
        minute = (int(self._clock.now() * 1000) - SINCE) // TICK // MINUTE
        return Reading(tables.Later(copy, alerts, minute, own, self._old), self._tally.born)

    def _lag(self) -> float:
        if self._log.end.seq <= self._reader.position.seq or not self._newest:
            return 0.0
        return max(0.0, self._clock.now() - self._newest)

    # Beginning.

    def _begin(self, position: Position) -> None:
        self._tariffs = Tariffs(asking(Prices(self._price)))
        self._tally = Tally(tables.make(), self._tariffs, secrets.randbits(64))
        self._reader: Reader = self._log.reader(position)
        self._rest_of = Rest(self._tally)
        self._newest = 0.0
        """When the newest span that is counted came."""

    async def _load(self) -> None:
        """Go on where the last process has left off. Raises LogUnavailable."""
        if self._loaded:
            return
        try:
            body = await asyncio.to_thread(self._file.load)
        except OSError as error:
            raise LogUnavailable(f"what was counted cannot be read: {error.strerror or error}") from error
        for path in self._file.damaged:
            logger.error("%s is damaged: %s", path, "the other copy is used" if body else "counting begins anew")
        if body is not None:
            self._restore(body)
        elif len(self._file.damaged) > 1:
            self._begin_anew()  # A single one was torn when it was the first: nothing had been told before.
        elif not self._file.usable:
            # Nothing is kept: what an earlier process has counted must not be counted again.
            self._reader.seek(self._log.found)
        self._loaded = True
        self._saved = self._reader.position.seq
        self._log.wish(self._reader.position)

    def _restore(self, body: bytes) -> None:
        try:
            kept = checkpoint.read(body)
            checkpoint.restore(self._tally, kept)
            self._spend.load(kept.spend)
        except ValueError as error:
            logger.error("what was counted before cannot be read, and counting begins anew: %s", error)
            self._begin_anew()
            return
        self.missed = kept.missed
        self._miss(kept.left_out)
        place = kept.position
        if not self._log.holds(place) and place.seq >= self._log.end.seq:
            place = self._log.end  # What is behind it went with a disk that has lost what was synced.
        self._reader.seek(place)

    def _begin_anew(self) -> None:
        """Count nothing that the log had: nobody knows what of it was counted, and told. So much may be missed."""
        self._reader.close()
        self._begin(self._log.found)
        self._miss(self._log.found.seq - self._log.begin.seq)

    # One turn.

    async def _turn(self) -> bool:
        """Count what has come, and what has waited long enough. True when there is more."""
        self._tally.tell(self._note if self._spend.wanted else None)
        for _ in range(AT_ONCE):
            if self._batch is None and not await self._take_up():
                break
            more = True
            while more:
                more = self._step()
                await asyncio.sleep(0)  # Whoever is cancelled here leaves the rest to the next turn.
        behind = self._reader.position.seq < self._log.end.seq
        now = self._clock.monotonic()
        if not behind and now - self._settled_at >= SETTLE:
            self._settled_at = now
            self._tally.settle(int(self._clock.now() * 1000))
            self._rest_of.sweep(self._clock.now())
        if not self.ready and self._reader.position.seq >= self._log.found.seq:
            self._tally.settle(int(self._clock.now() * 1000))  # As the earlier one has, at a time before this.
            self.ready, self._old = True, self._tally.born
        return behind

    async def _next(self) -> Batch | None:
        end, begin = self._log.end, self._reader.position
        if begin.seq >= end.seq:
            return None
        read = partial(self._reader.read, min(self._spans, NOTED) if self._spend.wanted else self._spans, BYTES)
        near = begin.segment == end.segment and end.offset - begin.offset <= WARM_BYTES
        batch = read() if near else await in_thread(read, partial(self._unread, begin))
        if batch is not None and batch.newest - batch.oldest > BETWEEN and self._spans > 1:
            # What waited for its time then has to do so now: in smaller steps.
            self._reader.seek(begin)
            self._spans = max(1, min(self._spans, batch.spans) // 8)
            return await self._next()
        self._spans = min(SPANS, 2 * self._spans)
        return batch

    async def _unread(self, begin: Position, _: Batch | None) -> None:
        """Whoever waited for a batch was cancelled."""
        self._reader.seek(begin)

    async def _take_up(self) -> bool:
        """Begin with the next batch. Whether there is one."""
        begin = self._reader.position
        batch = await self._next()
        if batch is None:
            return False
        self._miss(batch.lost)
        if batch.spans:
            if batch.newest - self._newest >= SETTLE:
                self._tally.settle(int(batch.newest * 1000))
            self._newest = batch.newest
            self._batch, self._done, self._counted_to = batch, 0, begin
        return True

    def _step(self) -> bool:
        """Count as much of the batch as may be counted in one go. Whether something of it is left."""
        batch = self._batch
        if batch is None:
            return False
        try:
            self._done = self._tally.take(batch.body, int(batch.newest * 1000), self._done, ASKS)
            if self._tally.left:
                return True
        except Exception as error:
            left = batch.spans - self._done
            logger.error("%d spans cannot be counted: %s", left, error)
            self._miss(left)
        self._batch = None
        return False

    def _miss(self, spans: int) -> None:
        if spans:
            self.missed += spans
            self._spend.missed(spans)

    def _note(
        self, ended: float, agent: int, model: int, names: tuple[str, ...], nano: int, tokens: int, unpriced: int
    ) -> None:
        agents, models = self._tally.labels["agent"].texts, self._tally.labels["model"].texts
        user, project, conversation, environment = (*names, "")[:4]  # An earlier version has kept three.
        called = agents[agent] or "", models[model] or ""
        self._spend.note(ended, *called, user, project, conversation, nano, tokens, unpriced, environment)

    # Keeping.

    async def _save(self, *, last: bool = False) -> None:
        """Keep what is counted; what the log has before it may go. Whatever the disk refuses is tried again later."""
        self._pressed = False
        self._saved_at = self._clock.monotonic()
        while self._step():
            pass  # What is kept has a place in the log, and that is behind the batch.
        position, waiting = self._reader.position, (self._tally.open_traces, self._tally.held)
        if not self._file.usable:
            # Whoever comes after a crash goes on at the end of the log, so nothing that is told now is told twice.
            self._spend.dump(last=last)
            self._spend.written()
            self._log.wish(position)
            return
        if self._saved == position.seq and not last and not self._spend.pending and self._waited == waiting:
            return
        spend = self._spend.dump(last=last)
        copy, names, packed = tables.copy_of(self._tally), self._tally.names(), self._tally.pack()
        missed, kinds = self.missed, self._tally.later_kinds

        def keep() -> str:
            try:
                self._file.save(checkpoint.head(copy, names, position, missed, spend, kinds), packed)
            except TooLarge as error:
                # What is in no budget twice, and in none too little, comes before counts, which may begin anew.
                self._file.save(checkpoint.bare(position, missed, spend, waiting[1]), b"")
                return f"counts will begin anew when the sidecar starts again: {error}"
            return ""

        try:
            problem = await in_thread(keep)
        except (OSError, TooLarge) as error:
            self._say(f"what was counted cannot be kept: {error}")
            return
        self._say(problem)
        self._spend.written()
        self._saved, self._waited = position.seq, waiting
        self._log.wish(position)

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            logger.warning("%s", problem)
        self.problem = problem

    # Between turns.

    def _committed(self) -> None:
        if self._resting:
            self._resting = False
            self._signal.fire()

    def _press(self) -> None:
        """The log is nearly full: what is counted need not be held any more."""
        self._pressed = True

    async def _rest(self, moved: bool) -> None:
        if moved:
            return
        if self._reader.position.seq < self._log.end.seq:
            await self._clock.sleep(TURN)
            return
        self._resting = True
        try:
            until_save = max(TURN, SAVE - (self._clock.monotonic() - self._saved_at))
            await self._signal.wait(WAIT if self._tally.open_traces else min(IDLE, until_save))
            await self._clock.sleep(TURN)  # What comes next, comes in crowds.
        finally:
            self._resting = False

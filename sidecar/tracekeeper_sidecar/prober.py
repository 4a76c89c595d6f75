"""Sends a span of this sidecar's own making through all of it, and follows what becomes of it.

    as a receiver does ──▶ log ──▶ sampling, which is told to keep it ──▶ delivery entries ──▶ backends

Nothing is asked of the backend: that an entry has settled the stretch of the log in which the span lies says who took
it. What else was in the same batch went the same way, with few exceptions, which are said to be unclear.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from functools import partial

from tracekeeper_sidecar.admin.health import is_stuck
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control.trial import WAITING, Outcome, Trial, TrialEntry
from tracekeeper_sidecar.coordination import KeptBatch
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.bounds import WORDS
from tracekeeper_sidecar.forward.ending import Ending
from tracekeeper_sidecar.forward.entry import EntryHealth
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.outcome import Outcome as Taken
from tracekeeper_sidecar.receive.outcome import Refused
from tracekeeper_sidecar.routes import Routes
from tracekeeper_sidecar.threads import in_thread
from tracekeeper_sidecar.wire.traces import KEEP
from tracekeeper_sidecar.wire.varint import delimited, encode

logger = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds between looks at what has become of it."""
SPANS, BYTES = 4096, 1 << 20
"""Of one read, when it is looked for in the log."""
MOST_ENDINGS = 4096
"""That are remembered while it is not known where the span is: some milliseconds."""
REASON = "test"
"""As what sampling is told to keep it."""
NAME, SERVICE = "tracekeeper test span", "tracekeeper-test"
DURATION = 1_000_000
"""Nanoseconds."""

SUSPENDED = "the config in force is suspended (spec.suspend): spans are answered OK and not stored"
NO_ENTRIES = "no config is in force that names a backend: nothing is delivered; what is sent waits in the buffer"
NOT_FOUND = (
    "it was acknowledged, and is not in the log: a processor (type Filter or Custom) has thrown it away, as it would "
    "the application's, or else the sidecar's log and /health say why"
)
TIME_UP = "time was up; what waits goes on waiting, and is delivered when that can be"


class Prober:
    """Owned by the application's event loop."""

    def __init__(
        self, receiver: Receiver, log: Log, routes: Routes, clock: Clock, suspended: Callable[[], bool]
    ) -> None:
        self.sent = 0
        """Spans, since the start."""
        self._receiver, self._log, self._routes, self._clock = receiver, log, routes, clock
        self._suspended = suspended
        self._tasks: set[asyncio.Task[None]] = set()

    def begin_trial(self, timeout: float) -> Trial:
        """Send one; what becomes of it, for so many seconds. Raises ValueError, in words for people."""
        if self._suspended():
            raise ValueError(SUSPENDED)
        if not self._routes.entries():
            raise ValueError(NO_ENTRIES)
        trial = Trial(trace_id=os.urandom(16))
        task = asyncio.ensure_future(self._run(trial, timeout))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return trial

    async def stop(self) -> None:
        """Follow none any more."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, trial: Trial, timeout: float) -> None:  # noqa: ASYNC109 - it says what is not known then
        following = _Following(trial, self._log, self._routes, self._clock)
        watchers = self._routes.watchers
        watchers.append(following.note)
        try:
            async with asyncio.timeout(timeout):
                if await self._send(trial):
                    await following.run()
        except TimeoutError:
            trial.problem = TIME_UP
        except LogUnavailable as error:
            trial.problem = str(error)
        except asyncio.CancelledError:
            trial.problem = "the sidecar stops"
            raise
        except Exception as error:
            logger.exception("a test span failed in an unforeseen way")
            trial.problem = f"it failed in an unforeseen way: {error!r}"
        finally:
            watchers.remove(following.note)
            trial.running = False

    async def _send(self, trial: Trial) -> bool:
        """Whether it was acknowledged."""
        if (hub := self._routes.hub) is not None:
            trial.sampled = True
            hub.on_kept(KeptBatch(REASON, 0, True, self._clock.now(), trial.trace_id))
        answered: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()

        def answer(taken: Taken) -> None:
            if not answered.done():
                answered.set_result(taken)

        self.sent += 1
        sent = self._clock.monotonic()
        self._receiver.take(made(trial.trace_id, self._clock.now()), 0, answer)
        taken = await answered
        if isinstance(taken, Refused):
            trial.problem = f"the sidecar refuses it, as it would the application's ({taken.reason}): {taken.message}"
            return False
        trial.stored = max(self._clock.monotonic() - sent, 1e-6)
        return True


class _Following:
    """One span on its way."""

    def __init__(self, trial: Trial, log: Log, routes: Routes, clock: Clock) -> None:
        self._trial, self._log, self._routes, self._clock = trial, log, routes, clock
        self._begin, self._began = log.end, clock.monotonic()
        self._endings: list[tuple[Ending, float]] = []
        self._seq: int | None = None
        """Spans in the log before it."""
        self._body = b""
        self._names = [entry.name for entry in routes.entries()]

    def note(self, ending: Ending) -> None:
        """As `forward.ending.Watcher`."""
        if self._seq is not None and not ending.begin <= self._seq < ending.end:
            return
        if len(self._endings) < MOST_ENDINGS:
            self._endings.append((ending, self._clock.monotonic() - self._began))

    async def run(self) -> None:
        """Until there is nothing more to say. Raises LogUnavailable."""
        found = await in_thread(partial(_find, self._log, self._begin, self._log.end.seq, self._trial.trace_id))
        if found is None:
            self._trial.problem = NOT_FOUND
            return
        self._seq, self._body = found
        self._endings = [each for each in self._endings if each[0].begin <= self._seq < each[0].end]
        while not self._look():
            await self._clock.sleep(LOOK)

    def _look(self) -> bool:
        """Whether all is known."""
        seconds = self._clock.monotonic() - self._began
        entries = {entry.name: entry for entry in self._routes.entries()}
        for name in self._names:
            known = self._trial.delivery.get(name)
            if known is not None and known.outcome != WAITING:
                continue
            ending = next((each for each in self._endings if each[0].delivery == name), None)
            if ending is not None:
                found = self._ended(*ending)
            elif name not in entries:
                found = TrialEntry(name, "Gone", seconds=seconds, words="the config in force does not have it any more")
            else:
                found = TrialEntry(name, seconds=seconds, words=self._in_the_way(entries[name]))
            self._trial.delivery[name] = found
        return all(entry.outcome != WAITING for entry in self._trial.delivery.values())

    def _ended(self, ending: Ending, seconds: float) -> TrialEntry:
        kept, name = self._routes.kept, ending.delivery
        verdict = kept.stage.verdict(self._trial.trace_id) if kept is not None else 0
        backends, dropped = ", ".join(ending.delivered), ", ".join(_why(reason) for reason in ending.dropped)
        outcome: Outcome
        if ending.sampled_out and ((verdict and not verdict & KEEP) or not (ending.delivered or ending.dropped)):
            return TrialEntry(name, "SampledOut", "", seconds, f"by {', '.join(ending.sampled_out)}")
        if ending.unmatched and self._is_left_out(name):
            return TrialEntry(name, "NotMatched", "", seconds, "the entry's `match` does not take it")
        if not ending.dropped:
            return TrialEntry(name, "Delivered", backends, seconds)
        if not ending.delivered:
            return TrialEntry(name, "Dropped", "", seconds, dropped)
        taken, lost = sum(ending.delivered.values()), sum(ending.dropped.values())
        outcome, words = "Unclear", f"of its batch {taken} spans were taken and {lost} dropped ({dropped})"
        return TrialEntry(name, outcome, backends, seconds, words)

    def _is_left_out(self, name: str) -> bool:
        taker = self._routes.taker(name)
        matcher = taker.terms.matcher if taker is not None else None
        return matcher is not None and not matcher.split(self._body)[1]

    def _in_the_way(self, entry: EntryHealth) -> str:
        kept, backends = self._routes.kept, self._routes.backends()
        assert self._seq is not None  # It is known where the span is.
        sampled = kept is not None and entry.name in kept.forwarder.names
        if sampled and kept is not None and kept.stage.reached.seq <= self._seq:
            if kept.stage.problem:
                return f"sampling waits: {kept.stage.problem}"
            return (
                "sampling keeps the order of spans, and traces before it are still open: that takes decisionWait,"
                f" {kept.rescue.decision_wait:g} s, at most"
            )
        own = [each for each in backends if each.name in entry.backends]
        ailing = [each for each in own if not each.usable or each.circuit not in ("Closed", "Disabled")]
        found = [
            f"backend {each.name}: {f'circuit {each.circuit}' if each.usable else 'cannot be used'}: "
            f"{each.last_error or 'nothing was sent yet'}"
            for each in ailing
        ]
        if found:
            rest = "no backend of the entry takes spans" if is_stuck(entry, backends) else "another one is tried"
            return "; ".join([*found, rest])
        words = f"{entry.pending} spans are pending, and leave in their order"
        errors = [each.last_error for each in own if each.last_error]
        return f"{words}; the last fault: {errors[0]}" if errors else words


def made(trace_id: bytes, now: float) -> bytes:
    """An ExportTraceServiceRequest with one span, a trace of its own, that must not wait for others on its way out."""
    end = int(now * 1e9)
    span = b"".join(
        [
            delimited(1, trace_id),
            delimited(2, os.urandom(8)),
            delimited(5, NAME.encode()),
            encode(6 << 3) + encode(1),
            encode(7 << 3 | 1) + (end - DURATION).to_bytes(8, "little"),
            encode(8 << 3 | 1) + end.to_bytes(8, "little"),
            delimited(9, _attribute("tracekeeper.priority", "critical")),
            delimited(9, _attribute("tracekeeper.test", "true")),
        ]
    )
    host = delimited(1, _attribute("service.name", SERVICE)) + delimited(
        1, _attribute("host.name", socket.gethostname())
    )
    scope = delimited(1, delimited(1, b"tracekeeper"))
    return delimited(1, delimited(1, host) + delimited(2, scope + delimited(2, span)))


def _attribute(key: str, value: str) -> bytes:
    return delimited(1, key.encode()) + delimited(2, delimited(1, value.encode()))


def _why(reason: str) -> str:
    return f"{reason}: {WORDS[reason]}" if reason in WORDS else reason


def _find(log: Log, begin: Position, end: int, trace_id: bytes) -> tuple[int, bytes] | None:
    """Spans in the log before the trace's, and the request in which it was stored. Raises LogUnavailable."""
    reader = log.reader(begin)
    try:
        while (left := end - reader.position.seq) > 0:
            batch = reader.read(SPANS, BYTES, detailed=True, reach=left)
            if batch is None:
                return None
            for frame in batch.frames:
                body = batch.body[frame.offset : frame.offset + frame.length]
                if trace_id in body:
                    return frame.seq, body
        return None
    finally:
        reader.close()

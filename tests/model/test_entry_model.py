"""A delivery entry against a model of what it owes, over a real log, with a backend that answers as it is told.

Hypothesis draws what happens: spans come, sends end in one way or another and in any order, time passes, the entry is
stopped and started, or its process dies with the cursor as it was saved last. At every step the ledger closes; in the
end every acknowledged span was sent, or is booked as dropped; and none was sent after a saved cursor called it settled.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forward_support.spans import ids_of, request
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.forward.backend import Backend
from tracekeeper_sidecar.forward.bounds import Bounds
from tracekeeper_sidecar.forward.connection import Unusable
from tracekeeper_sidecar.forward.entry import DeliveryEntry, Terms
from tracekeeper_sidecar.forward.filling import Limits
from tracekeeper_sidecar.forward.outcome import Outcome, Refused, Retry, Sent, TooLarge
from tracekeeper_sidecar.forward.saver import Saver
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.decided import Decided, encode
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.record import DECIDED
from tracekeeper_sidecar.wakeup import Signal
from tracekeeper_spec.config import Backend as BackendSpec
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from waiting import turns

NAME = "entry"
LEFT_OUT = ""
"""Stands for a span that sampling left out."""
LIMITS = Limits(max_spans=6, max_bytes=1 << 20, max_delay=0.0)
TURNS = 40
"""Turns of the event loop that a step gets: enough for whatever follows from it without a file or a clock."""
ANSWERS: dict[str, Outcome] = {
    "sent": Sent(),
    "partly": Sent(rejected=1),
    "failed": Retry("not now"),
    "suspect": Retry("cannot digest this", suspect=True),
    "refused": Refused("wrong"),
    "too large": TooLarge("too large"),
}


def backend_spec() -> BackendSpec:
    """A backend whose breaker and pauses stay out of the way."""
    written = {
        "name": "one",
        "type": "OTLP",
        "otlp": {"protocol": "GRPC", "endpoint": "http://127.0.0.1:9"},
        "retry": {"initialBackoff": "10ms", "maxBackoff": "10ms", "budget": 1},
        "circuitBreaker": {"state": "Disabled"},
    }
    parsed, faults = parse_spec({"backends": [written]})
    assert not faults, faults
    return resolve(parsed).backends[0]


SPEC = backend_spec()


class Told:
    """An exporter whose sends end when and how the test says."""

    def __init__(self) -> None:
        self.sends: list[tuple[list[str], asyncio.Future[Outcome]]] = []
        self.obliging = False
        """Whether it takes everything at once."""
        self.taken: Counter[str] = Counter()

    async def send(self, body: bytes, timeout: float) -> Outcome:  # noqa: ASYNC109 (as in Exporter)
        ids = ids_of(body)
        outcome: Outcome = Sent()
        if not self.obliging:
            answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self.sends.append((ids, answer))
            outcome = await answer
        if isinstance(outcome, Sent):
            self.taken.update(ids[: len(ids) - outcome.rejected])
        return outcome

    async def close(self) -> None: ...

    def answer(self, which: int, how: str) -> None:
        """End one of the sends under way, if there is any."""
        waiting = [answer for _, answer in self.sends if not answer.done()]
        self.sends = [(ids, answer) for ids, answer in self.sends if not answer.done()]
        if waiting:
            waiting[which % len(waiting)].set_result(ANSWERS[how])

    def oblige(self) -> None:
        """Take everything from now on."""
        self.obliging = True
        for _, answer in self.sends:
            if not answer.done():
                answer.set_result(Sent())


@dataclass
class World:
    """One log, and one entry at a time on it."""

    log: Log
    cursors: CursorStore
    exporter: Told
    bounds: Bounds
    sent: list[str] = field(default_factory=list)
    """By the log's numbers."""
    closed: dict[str, int] = field(default_factory=dict)
    """Spans that a saved cursor calls settled, each with how often it had been taken by then."""
    entry: DeliveryEntry | None = None
    task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin where the cursor on disk stands."""
        cursor = self.cursors.load(NAME) or Cursor(self.log.begin, Account(start=self.log.begin.seq))
        clock = SystemClock()
        signal = Signal(clock)
        backend = Backend(SPEC, clock, lambda: 0.5, signal.fire)
        await backend.connect(Unusable("told by a test"), self.exporter)
        entry = self.entry = DeliveryEntry(
            NAME,
            Terms(LIMITS, self.bounds),
            cursor,
            log=self.log,
            sender=Sender(NAME, [backend], clock, lambda: 0.5, signal),
            saver=Saver(NAME, cursor, self.cursors, clock, lambda: None),
            clock=clock,
        )
        self.log.on_committed(lambda: entry.filling.committed() if entry.filling.wanted <= self.log.end.seq else None)
        self.task = asyncio.create_task(entry.run())
        await self.turn()

    async def stop(self, save: bool) -> None:
        """End the entry; without saving, as a kill would."""
        assert self.entry is not None and self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        if save:
            await self.save()

    async def save(self) -> None:
        """Save the cursor; what it calls settled is not to be sent again, whatever happens."""
        assert self.entry is not None
        await self.entry.saver.save()
        for seq, span in enumerate(self.sent):
            if self.entry.settled.between(seq, seq + 1):
                self.closed.setdefault(span, self.exporter.taken[span])

    async def turn(self) -> None:
        await turns(TURNS)
        self.check()

    def check(self) -> None:
        """What holds at every moment."""
        assert self.entry is not None
        account, pending = self.entry.account, self.entry.pending
        assert account.start + account.settled() + pending == self.log.end.seq
        assert self.entry.settled.count() <= 64
        assert len(self.sent) == self.log.end.seq


STEPS = st.one_of(
    st.tuples(st.just("put"), st.lists(st.integers(1, 9), min_size=1, max_size=4)),
    st.tuples(st.just("answer"), st.integers(0, 30), st.sampled_from(sorted(ANSWERS))),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("save")),
    st.tuples(st.just("give up"), st.integers(0, 200)),
)


@contextlib.asynccontextmanager
async def world(bounds: Bounds) -> AsyncIterator[World]:
    """A world on an empty folder."""
    folder = Path(tempfile.mkdtemp(prefix="entry-model-"))
    try:
        files = SystemFiles()
        log = Log.open(str(folder), files=files, clock=SystemClock(), quota=8 << 20)
        made = World(log, CursorStore(str(folder), files), Told(), bounds)
        await made.start()
        try:
            yield made
        finally:
            await made.stop(save=False)
            await log.close()
    finally:
        shutil.rmtree(folder)


async def put(made: World, spans: int, sampled: bool) -> None:
    """Append a request; or, by the log's count, as many spans that sampling has decided on, and kept half of."""
    if not sampled:
        body, ids = request(spans)
        made.sent += ids
        await made.log.append(body, spans)
        return
    kept = spans // 2
    body, ids = request(kept) if kept else (b"", [])
    made.sent += ids + [LEFT_OUT] * (spans - kept)
    decided = Decided(kept, {"rule": spans - kept}, 0, made.log.end)
    answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    made.log.submit(encode(decided) + body, spans, answered.set_result, kind=DECIDED)
    assert await answered is None


async def play(steps: list[tuple[object, ...]], bounds: Bounds, sampled: bool, happened: Counter[str]) -> None:
    """Let it all happen, then let the backend take everything, and see what has come of it."""
    async with world(bounds) as made:
        happened["lives"] += 1
        for step in steps:
            happened[str(step[0])] += 1
            match step:
                case ("put", list(sizes)):
                    for spans in sizes:
                        await put(made, spans, sampled)
                case ("answer", int(which), str(how)):
                    made.exporter.answer(which, how)
                case ("restart", bool(save)):
                    await made.stop(save)
                    await made.start()
                case ("save",):
                    await made.save()
                case ("give up", int(seq)):
                    give_up(made, seq)
            await made.turn()
        made.exporter.oblige()
        assert made.entry is not None
        assert await made.entry.reach(made.log.end, 30.0)
        made.check()
        account = made.entry.account
        left_out = made.sent.count(LEFT_OUT)
        booked = account.sampled_out.total()
        assert booked <= left_out
        lost = len(made.sent) - sum(1 for span in made.sent if made.exporter.taken[span]) - booked
        assert lost <= sum(account.dropped.values())
        assert sum(account.delivered.values()) <= sum(made.exporter.taken.values())
        assert not made.entry.settled.runs()
        assert {span: made.exporter.taken[span] for span in made.closed} == made.closed
        happened["spans"] += len(made.sent)


def give_up(made: World, seq: int) -> None:
    """Drop what comes before a frame of the log, found as the writer knows it: here the end of what is settled by now,
    or the log's end."""
    assert made.entry is not None
    place = made.log.end if seq >= made.log.end.seq else made.entry.filling.position
    made.entry.give_up(place, "buffer_full")


UNBOUND = st.just(Bounds())


def lives(
    number: int, steps: int, sampled: st.SearchStrategy[bool], bounds: st.SearchStrategy[Bounds] = UNBOUND
) -> None:
    """Play so many of at most so many steps, and say what happened in them."""
    happened: Counter[str] = Counter()

    @given(st.lists(STEPS, max_size=steps), bounds, sampled)
    @settings(max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def life(steps: list[tuple[object, ...]], bounds: Bounds, sampled: bool) -> None:
        asyncio.run(play(steps, bounds, sampled, happened))

    life()
    print(*(f"{what}: {times}" for what, times in happened.items()), sep=", ")


def test_every_span_is_sent_or_booked_as_dropped() -> None:
    lives(80, 40, st.just(False))


def test_what_sampling_left_out_is_booked_and_never_sent() -> None:
    lives(60, 40, st.just(True))


def test_no_more_spans_wait_than_may() -> None:
    lives(40, 30, st.booleans(), st.builds(Bounds, max_spans=st.integers(1, 30)))

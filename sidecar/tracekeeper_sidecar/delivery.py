"""Everything behind the ports: opens the log, follows the policy, forwards, and says at the end what stayed.

`run` is kept running by its owner. What it has made outlives a death of it: entries go on delivering meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from tracekeeper_sidecar import logs, memory
from tracekeeper_sidecar.admin.health import is_stuck
from tracekeeper_sidecar.admin.scrapes import Scrapes
from tracekeeper_sidecar.adopt.adopter import Adopter
from tracekeeper_sidecar.adopt.adoption import Means
from tracekeeper_sidecar.adopt.folders import Folders
from tracekeeper_sidecar.buffer import Buffer
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control import glance
from tracekeeper_sidecar.control.accounts import Accounts
from tracekeeper_sidecar.control.goal import Goal
from tracekeeper_sidecar.control.source import Instruction, ManifestSource, PolicySource
from tracekeeper_sidecar.control.standing import BackendStanding, EntryStanding, Standing
from tracekeeper_sidecar.control.watcher import PolicyState, Watcher
from tracekeeper_sidecar.errors import LogUnavailable, PolicyError
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.forward.letter import Letter
from tracekeeper_sidecar.forward.replay import Replayed
from tracekeeper_sidecar.kept import Storage
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import KEPT
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.meter.checkpoint import CheckpointFile
from tracekeeper_sidecar.meter.stage import Stage as Metering
from tracekeeper_sidecar.process.build import Means as ProcessingMeans
from tracekeeper_sidecar.process.stage import Stage as Processing
from tracekeeper_sidecar.push.page import Page
from tracekeeper_sidecar.push.pushers import Pushers
from tracekeeper_sidecar.recent import RecentCalls
from tracekeeper_sidecar.recorder import Recorder
from tracekeeper_sidecar.routes import Routes
from tracekeeper_sidecar.settings import Settings

if TYPE_CHECKING:
    from tracekeeper_sidecar.control.link import Link
    from tracekeeper_sidecar.forward.backend import BackendHealth
    from tracekeeper_sidecar.forward.entry import EntryHealth
    from tracekeeper_sidecar.prober import Prober
    from tracekeeper_sidecar.process.anteroom import Anteroom
    from tracekeeper_sidecar.receive.intake import Receiver
    from tracekeeper_sidecar.tapper import Tapper

logger = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between looks at whether the receivers' counts need saving."""
LETTERS_SHARE = 8
"""Dead letters take at most the storage's size divided by this, whatever the config allows them."""
CLAIM = 5.0
"""Seconds to try to hold the pod's own folder. Others only ever look at it for a moment."""
METERING = "metering"
LAST_SAVE = 5.0
"""Seconds that the last save may take when the process ends; a disk that hangs must not hold it up."""


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is not delivered: a number of spans, owed to one delivery entry or another, or why it is not known."""

    spans: int
    problem: str = ""


class Delivery:
    """Owned by the application's event loop."""

    def __init__(
        self,
        settings: Settings,
        buffer: Buffer,
        intake: Intake,
        clock: Clock,
        folders: Folders,
        scrapes: Scrapes,
        receiver: Receiver,
        anteroom: Anteroom | None,
        page: Callable[[], Page],
    ) -> None:
        self.routes: Routes | None = None
        self.recorder: Recorder | None = None
        self.watcher: Watcher | None = None
        self.suspended = False
        self.link: Link | None = None
        """To the operator; None where this pod has no token for it."""
        self.metering: Metering | None = None
        """Counts what spans say; None before the log is open."""
        self._counting = False
        """Whether it has begun to."""
        self.keeper = Keeper(clock, random.random)
        """Of its task."""
        self.accounts = Accounts(clock)
        """What it and the operator tell each other of budgets."""
        self._tapper: Tapper | None = None
        self._prober: Prober | None = None
        self.recent_calls = RecentCalls(clock)
        self.pushers = Pushers(page, clock, random.random)
        self._settings, self._buffer, self._intake, self._clock = settings, buffer, intake, clock
        self._cursors = CursorStore(settings.data_dir, buffer.files)
        self.letters = DeadLetters(settings.data_dir, buffer.files)
        self._folders, self._scrapes, self._receiver = folders, scrapes, receiver
        self.processing = Processing(receiver, anteroom)
        self.adopter = self._adopter(settings.adopt_from) if settings.adopt_from else None
        """For folders on the node whose pods are gone, where there are any to share."""
        self._claimed = False
        self._sidecar: object = None
        """The config's `sidecar` section as first applied; a later one waits for a restart."""
        self._instructed = asyncio.Event()
        """Set once the policy's file has been looked at, whatever it said."""

    async def run(self) -> None:
        """Open the log, however long that takes, then follow the policy for ever."""
        await self._claim()
        log = await self._buffer.open()
        if self.routes is None:
            self._load_intake(await asyncio.to_thread(self._cursors.load_intake))
            await self.letters.open()
            routes = self._forward(self._settings.data_dir, log, self._cursors)
            await routes.begin()
            self.routes, self.recorder = routes, Recorder(log, routes, self._clock)
            self._meter(log)
            self.link = await self._make_link(log, routes, self.recorder)
        settings = self._settings
        source = (
            ManifestSource(settings.config_file, settings.secrets_dir)
            if settings.config_file
            else PolicySource(settings.policy_file or "", settings.pod_info_dir)
        )
        watcher = self.watcher = Watcher(source, self._apply, self._clock, settings.poll_interval)
        await watcher.look()
        if watcher.state.instruction is None:
            await self._without_instruction(faulty=bool(watcher.state.faults))
        self._instructed.set()
        if self.metering is not None and not self._counting:
            # Not before: what is read again after a start is to be counted by the prices of the policy.
            self._counting = True
            self.keeper.start(METERING, self.metering.run)
        memory.spare_what_stays()
        async with asyncio.TaskGroup() as group:
            group.create_task(watcher.run(), name="policy")
            group.create_task(self._tick(), name="ledger")
            group.create_task(self.routes.run(), name="routes")
            if self.adopter is not None:
                group.create_task(self.adopter.run(), name="adoption")
            if self.link is not None:
                group.create_task(self.link.run(), name="link")

    async def flush(self, timeout: float) -> Remainder:  # noqa: ASYNC109 - the answer says what is left
        """Deliver what is pending now within `timeout` seconds."""
        deadline = self._clock.monotonic() + timeout
        await self._wait_for_policy(timeout)
        log, routes = self._buffer.log, self.routes
        if log is None or routes is None:
            return Remainder(0, self._not_open())
        if not routes.entries():
            return await self._without_entries()
        if await routes.flush(log.end, max(0.0, deadline - self._clock.monotonic())):
            return Remainder(0)
        return Remainder(sum(entry.pending for entry in routes.entries()))

    async def replay(self, timeout: float) -> Replayed:  # noqa: ASYNC109 - the answer says what is left
        """Send the dead letters again within about `timeout` seconds. Raises OSError when one cannot be removed."""
        return await self.routes.replay(timeout) if self.routes else Replayed()

    async def drain(self, timeout: float) -> Remainder:  # noqa: ASYNC109 - the answer says what is left
        """Deliver what can be delivered in `timeout` seconds, and stop delivering. Nothing is received any more."""
        left, _ = await asyncio.gather(self._drain(timeout), self._settle_up())
        return left

    async def _settle_up(self) -> None:
        """Count everything, keep it, and tell the operator what was spent."""
        if self.metering is None:
            return
        try:
            await asyncio.wait_for(self.metering.finish(), LAST_SAVE)
            await asyncio.wait_for(self.accounts.settle(self.metering.finish), LAST_SAVE)
        except (LogUnavailable, TimeoutError) as error:
            logger.warning("what was counted last could not be kept: %s", error)

    async def _drain(self, timeout: float) -> Remainder:  # noqa: ASYNC109 - as above
        deadline = self._clock.monotonic() + timeout
        if self.adopter is not None:
            self.adopter.stop()
        await self._wait_for_policy(timeout)
        if self._buffer.log is None or self.routes is None:
            return Remainder(0, self._not_open())
        if not self.routes.entries():
            return await self._without_entries()
        await self._stop_errands()
        left = await self.routes.drain(max(0.0, deadline - self._clock.monotonic()))
        return Remainder(sum(left.values()))

    async def _wait_for_policy(self, timeout: float) -> None:  # noqa: ASYNC109 - what follows has its own time
        """Right after the start: what was taken has not had its entries yet."""
        if self._buffer.problem:
            return
        try:
            await asyncio.wait_for(self._instructed.wait(), timeout)
        except TimeoutError:
            logger.warning("no policy was read in time")

    async def close(self) -> None:
        """Stop at once. Cursors and the receivers' counts are saved; nothing may be received any more."""
        self.processing.close()
        if self.routes is None:
            return
        await self._stop_errands()
        await self.pushers.close()
        await self.keeper.stop(METERING)
        await self.routes.close()
        if self.metering is not None:
            self.metering.close()
        try:
            await asyncio.wait_for(asyncio.to_thread(self._cursors.save_intake, self._intake.copy()), LAST_SAVE)
        except (LogUnavailable, TimeoutError) as error:
            logger.warning("the receivers' last counts could not be saved: %s", error)

    async def _stop_errands(self) -> None:
        if self.recorder is not None:
            await self.recorder.stop_dump()
        for errand in (self._tapper, self._prober):
            if errand is not None:
                await errand.stop()

    async def _apply(self, instruction: Instruction) -> None:
        assert self.routes is not None
        spec = instruction.spec
        # Before requests go on that have waited for the policy: it may say that they are not to be stored.
        self.suspended = self.suspended or spec.suspend
        await self._process(instruction)
        self.letters.limit = min(spec.buffer.dead_letter_size, self._settings.storage_bytes // LETTERS_SHARE)
        if self._buffer.log is not None:
            self._buffer.log.leave(self.letters.limit)
        await self.routes.apply(spec, instruction.secrets)
        if self.adopter is not None:
            self.adopter.instruction = instruction
        self.accounts.follow(instruction.budgets)
        if self.metering is not None:
            self.metering.configure(instruction.alerts, instruction.prices)
        if self.link is not None:
            self.link.follow(Goal.of(instruction))
        await self.pushers.follow(instruction.pushes, instruction.pod)
        logs.set_level(spec.log_level)
        self.suspended = spec.suspend
        if self._sidecar not in (None, spec.sidecar):
            logger.warning("spec.sidecar has changed: that takes effect when the sidecar starts again")
        self._sidecar = spec.sidecar

    async def _without_instruction(self, *, faulty: bool) -> None:
        """After the first look at the policy: there is none for this pod, or one that cannot be used."""
        if not faulty:
            await self.processing.without_policy()
        elif await asyncio.to_thread(glance.may_speak_of_processors, self._settings):
            self.processing.refuse()
        else:
            await self.processing.let_through()

    async def _process(self, instruction: Instruction) -> None:
        """First of all: nothing shall go to a new backend, or be stored, that a new processor would have hidden."""
        pod, secrets = instruction.pod, instruction.secrets
        means = ProcessingMeans(secrets, pod, instruction.labels, instruction.annotations, instruction.facts)
        try:
            await self.processing.follow(instruction.spec.processors, means)
        except Exception as error:
            logger.exception("the processors of the policy cannot be made")
            raise PolicyError(instruction.config, [f"spec.processors: {error}"]) from error

    def _meter(self, log: Log) -> None:
        settings = self._settings
        file = CheckpointFile(settings.data_dir, self._buffer.files, settings.storage_bytes)
        self.metering = Metering(log, self._clock, file)
        self.accounts.metered(self.metering.spend)

    async def _make_link(self, log: Log, routes: Routes, recorder: Recorder) -> Link | None:
        if not self._settings.control_token:
            return None
        await asyncio.to_thread(import_module, "tracekeeper_sidecar.control.link")
        from tracekeeper_sidecar.control.dumps import Dumps  # noqa: PLC0415 - many pods need none of it
        from tracekeeper_sidecar.control.errands import Errands  # noqa: PLC0415
        from tracekeeper_sidecar.control.link import Link  # noqa: PLC0415
        from tracekeeper_sidecar.control.taps import Taps  # noqa: PLC0415
        from tracekeeper_sidecar.control.trials import Trials  # noqa: PLC0415
        from tracekeeper_sidecar.prober import Prober  # noqa: PLC0415
        from tracekeeper_sidecar.tapper import Tapper  # noqa: PLC0415

        clock, token = self._clock, self._settings.control_token
        self._tapper = Tapper(log, clock)
        self._prober = Prober(self._receiver, log, routes, clock, lambda: self.suspended)
        errands = Errands(Dumps(recorder, clock), Taps(self._tapper, clock), Trials(self._prober, clock))
        return Link(token, lambda: routes.hub, self.standing, errands, self.accounts, clock, random.random)

    def standing(self) -> Standing:
        """What the operator is told of this sidecar."""
        routes, log = self.routes, self._buffer.log
        state = self.watcher.state if self.watcher is not None else PolicyState()
        instruction, intake = state.instruction, self._intake
        acknowledged = log.end.seq if log is not None else 0
        backends = routes.backends() if routes is not None else ()
        stage = routes.stage if routes is not None else None
        return Standing(
            revision=instruction.revision if instruction is not None else 0,
            digest=instruction.digest if instruction is not None else "",
            policy_problem="; ".join(state.faults),
            log_problem=log.stats().problem if log is not None else self._buffer.problem,
            received=intake.received(acknowledged),
            acknowledged=acknowledged,
            refused=sum(intake.refused.values()),
            filtered=sum(intake.filtered.values()),
            suspended=intake.suspended,
            tests=self._prober.sent if self._prober is not None else 0,
            delivery=tuple(_entry(entry, backends) for entry in (routes.entries() if routes is not None else ())),
            backends=tuple(
                BackendStanding(each.name, each.circuit if each.usable else "Unusable", each.last_error)
                for each in backends
            ),
            unscraped=self._scrapes.missing,
            at_floor=stage is not None and stage.at_floor,
        )

    def _forward(self, folder: str, log: Log, cursors: CursorStore) -> Routes:
        settings = self._settings
        storage = Storage(folder, self._buffer.files, settings.storage_bytes, self._buffer.history)
        return Routes(log, cursors, self._clock, storage, self.letters)

    def _adopter(self, shared: str) -> Adopter:
        settings, files, clock = self._settings, self._buffer.files, self._clock
        means = Means(
            folders=self._folders,
            open_log=lambda folder: Log.open(
                folder, files=files, clock=clock, quota=settings.storage_bytes, make=False
            ),
            cursors=lambda folder: CursorStore(folder, files),
            forward=self._forward,
            rescue=self._rescue,
        )
        return Adopter(shared, os.path.basename(settings.data_dir), means, clock, settings.adopt_after)

    async def _rescue(self, folder: str) -> None:
        """Keep the dead letters of a folder that is about to go among our own."""
        theirs = DeadLetters(folder, self._buffer.files)
        for number in await theirs.numbers():
            letter = await theirs.read(number)
            if isinstance(letter, Letter):
                await self.letters.keep(letter)
            await theirs.remove(number)

    async def _claim(self) -> None:
        """Hold this pod's own folder, so that no other sidecar takes it for left behind, and whoever has it gives it
        back. Without a claim the log's own lock still keeps others out; so it is not worth waiting long."""
        if self.adopter is None or self._claimed:
            return
        deadline = self._clock.monotonic() + CLAIM
        try:
            while not (claimed := await asyncio.to_thread(self._folders.claim, self._settings.data_dir)):
                if self._clock.monotonic() > deadline:
                    logger.warning("%s is held by another process of this pod", self._settings.data_dir)
                    return
                await self._clock.sleep(0.1)
            self._claimed = claimed
        except OSError as error:
            logger.warning("%s cannot be claimed: %s", self._settings.data_dir, error.strerror or error)

    def _load_intake(self, saved: Intake | None) -> None:
        """Add what earlier processes counted on this directory."""
        if saved is None:
            return
        self._intake.refused.update(saved.refused)
        self._intake.refused_requests.update(saved.refused_requests)
        self._intake.filtered.update(saved.filtered)
        self._intake.suspended += saved.suspended

    async def _tick(self) -> None:
        """Save the receivers' counts when they have changed; a crash forgets at most the last second's refusals."""
        saved = None
        while True:
            self.recent_calls.mark(self.calls())
            current = self._intake.copy()
            if current != saved:
                try:
                    await asyncio.to_thread(self._cursors.save_intake, current)
                    saved = current
                except LogUnavailable as error:
                    logger.warning("the receivers' counts cannot be saved: %s", error)
            await self._clock.sleep(TICK)

    def calls(self) -> Counter[str]:
        """Export calls of all backends since the start, by outcome."""
        total: Counter[str] = Counter()
        for backend in self.routes.backends() if self.routes else ():
            total.update(backend.calls)
        return total

    async def _without_entries(self) -> Remainder:
        """What waits for a policy: everything behind the least cursor that an earlier entry has left, or all."""
        log = self._buffer.log
        assert log is not None
        kept = CursorStore(f"{self._settings.data_dir}/{KEPT}", self._buffer.files)
        cursors = [
            await asyncio.to_thread(store.load, name)
            for store in (self._cursors, kept)
            for name in await asyncio.to_thread(store.names)
        ]
        places = (cursor.position.seq for cursor in cursors if cursor and not cursor.removed)
        passed = min(places, default=log.begin.seq)
        held = log.end.seq - max(passed, log.begin.seq)
        return Remainder(held, "no policy names a backend to deliver to" if held else "")

    def _not_open(self) -> str:
        return f"the log was not opened: {self._buffer.problem or 'there was no time to'}"


def _entry(entry: EntryHealth, backends: Sequence[BackendHealth]) -> EntryStanding:
    account = entry.account
    return EntryStanding(
        name=entry.name,
        start=account.start,
        delivered=sum(account.delivered.values()),
        sampled_out=sum(account.sampled_out.values()),
        unmatched=account.unmatched,
        pending=entry.pending,
        dropped=sum(account.dropped.values()),
        redelivered=sum(account.redelivered.values()),
        stuck=is_stuck(entry, backends),
    )

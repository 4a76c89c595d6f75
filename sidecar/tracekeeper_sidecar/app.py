"""The composition root: binds the ports, then lets delivery begin; on a stop, drains in reverse.

    ports bound ─▶ /startupz passes ─▶ the log opens: spans are taken ─▶ policy applied ─▶ spans are forwarded
    SIGTERM ─▶ OTLP ports closed ─▶ drain ─▶ cursors and log closed ─▶ metrics port closed

Ports come first because the application's containers wait for the start-up probe: neither the log's size nor the
policy's content may hold them up. What only forwarding needs is imported after that, in a thread, so that receivers
and probes are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
from importlib import import_module
from typing import TYPE_CHECKING

import uvloop

from tracekeeper_sidecar.admin.scrapes import Scrapes
from tracekeeper_sidecar.admin.server import AdminServer, Flushed, Probes
from tracekeeper_sidecar.buffer import Buffer
from tracekeeper_sidecar.clock import Clock, SystemClock
from tracekeeper_sidecar.control import glance
from tracekeeper_sidecar.errors import ListenError
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.log.files import Files, SystemFiles
from tracekeeper_sidecar.model import DumpAsked
from tracekeeper_sidecar.receive import dialects
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import EVERY_NAME, Receiver
from tracekeeper_sidecar.receive.otlp_grpc import GrpcReceiver
from tracekeeper_sidecar.receive.otlp_http import HttpReceiver
from tracekeeper_sidecar.settings import Settings
from tracekeeper_sidecar.wire.meter import Meter

if TYPE_CHECKING:
    from tracekeeper_sidecar.admin.decision import Asked
    from tracekeeper_sidecar.admin.snapshot import Snapshot
    from tracekeeper_sidecar.delivery import Delivery
    from tracekeeper_sidecar.meter.reading import Reading
    from tracekeeper_sidecar.process.anteroom import Anteroom
    from tracekeeper_sidecar.push.page import Page
    from tracekeeper_sidecar.recorder import Recorder

logger = logging.getLogger(__name__)

RECEIVER_GRACE = 1.0
"""Seconds that requests under way get when the ports close; the log alone answers them, within milliseconds."""
MAX_IN_FLIGHT = 96 << 20
"""Bytes of requests in memory at once: one of the largest size that OTLP allows, and ordinary ones beside it."""
DELIVERY = "delivery"
ANY = "0.0.0.0"
STOPPED, NOT_BOUND = 0, 1


class App:
    """One sidecar. `run` once."""

    def __init__(self, settings: Settings, clock: Clock, files: Files) -> None:
        self.settings, self.clock = settings, clock
        self.intake = Intake()
        self.buffer = Buffer(settings.data_dir, settings.storage_bytes, files, clock, settings.storage_history)
        self.keeper = Keeper(clock, random.random)
        self.delivery: Delivery | None = None
        self.draining = False
        self._all_bound = asyncio.Event()
        self._delivering = asyncio.Event()
        self.meter = Meter()
        self._receiver = Receiver(
            self.buffer.submit,
            self.intake,
            Admission(MAX_IN_FLIGHT),
            self._suspended,
            meter=self.meter,
        )
        self._anteroom = _anteroom(settings)
        if self._anteroom is not None:
            self._receiver.lead_through(self._anteroom.process, EVERY_NAME)
        taken = dialects.of(
            self._service, zipkin=settings.zipkin, parent_from_request=settings.openai_parent_from_request
        )
        self._http = HttpReceiver(self._receiver, dialects=taken.otlp)
        self._zipkin = HttpReceiver(self._receiver, dialects=taken.zipkin, otlp=False)
        self._grpc = GrpcReceiver(self._receiver)
        self._scrapes = Scrapes(clock)
        self._admin = AdminServer(
            Probes(
                self.snapshot,
                self.reading,
                self.started,
                self.stuck,
                self.flush,
                self.dead_letters,
                self.replay,
                self.begin_dump,
                self.dumped,
                self.stop_dump,
                self.budget,
            ),
            self._scrapes,
        )

    async def run(self, stop: asyncio.Event, admin: socket.socket) -> None:
        """Serve until `stop` is set, then drain. Raises ListenError when a port cannot be bound.

        `admin` is the metrics port, listening already.
        """
        try:
            await self._bind(admin)
            self.keeper.start(DELIVERY, self._deliver)
            await stop.wait()
            await self._drain()
        finally:
            await self._close()

    def snapshot(self) -> Snapshot:
        """Everything about this moment."""
        from tracekeeper_sidecar import facts  # noqa: PLC0415 - not on the way to the ports

        return facts.take(self)

    def reading(self) -> Reading | None:
        """What spans are counted as, at this moment; None before any are."""
        metering = self.delivery.metering if self.delivery is not None else None
        return metering.read() if metering is not None and metering.ready else None

    def page(self) -> Page:
        """What is pushed, at this moment."""
        from tracekeeper_sidecar import facts  # noqa: PLC0415 - not on the way to the ports

        return facts.page(self.snapshot(), self.reading())

    async def started(self, patience: float) -> bool:
        """Whether every port is bound; waits at most `patience` seconds for it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_bound.wait(), patience)
        return self._all_bound.is_set()

    def stuck(self) -> str:
        """Why only a restart would help; empty while none is needed."""
        log = self.buffer.log
        return "the log's writer has ended" if log is not None and not log.alive else ""

    async def flush(self, timeout: float) -> Flushed:  # noqa: ASYNC109 - the answer says what is left
        """Deliver what is pending now within `timeout` seconds."""
        deadline = self.clock.monotonic() + timeout
        delivery = await self._begun(timeout)
        if delivery is None:
            return Flushed(0, self.buffer.problem or "delivery has not begun yet")
        left = await delivery.flush(max(0.0, deadline - self.clock.monotonic()))
        return Flushed(left.spans, left.problem)

    async def dead_letters(self) -> list[dict[str, object]]:
        """The refused requests that are kept, described."""
        return await self.delivery.letters.described() if self.delivery else []

    async def replay(self, timeout: float) -> dict[str, object]:  # noqa: ASYNC109 - the answer says what is left
        """Send them again within about `timeout` seconds; what became of them."""
        if self.delivery is None:
            return {"letters": 0, "spans": 0, "left": []}
        return (await self.delivery.replay(timeout)).described()

    def begin_dump(self, asked: DumpAsked) -> object:
        """See Recorder.begin_dump, which begins to send what sampling has left out. Raises DumpBusy and ValueError."""
        if (recorder := self._recorder) is None:
            raise ValueError("delivery has not begun yet")
        return recorder.begin_dump(asked)

    def dumped(self) -> dict[str, object] | None:
        """How far the last dump has come; None before the first."""
        return self._recorder.dumped() if self._recorder is not None else None

    async def stop_dump(self) -> None:
        """End the dump that is under way, if one is."""
        if self._recorder is not None:
            await self._recorder.stop_dump()

    def budget(self, name: str) -> Asked:
        """What is known of the budget with that name."""
        from tracekeeper_sidecar.admin.decision import Asked  # noqa: PLC0415 - few ask

        now = self.clock.now()
        if self.delivery is None:
            return Asked((), None, float("inf"), 0.0, now)
        accounts = self.delivery.accounts
        return Asked(accounts.budgets, *accounts.state(name), now)

    @property
    def _recorder(self) -> Recorder | None:
        return self.delivery.recorder if self.delivery is not None else None

    async def _begun(self, timeout: float) -> Delivery | None:  # noqa: ASYNC109 - what follows has its own time
        """Delivery, which begins a little after spans are taken; None when it has not within `timeout` seconds."""
        if not self.buffer.problem:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._delivering.wait(), timeout)
        return self.delivery

    def _service(self) -> str:
        """What the pod says that its service is called; empty where it does not."""
        from tracekeeper_sidecar.control.source import service_of  # noqa: PLC0415 - asked when OpenAI's ingest is used

        return service_of(self.settings.pod_info_dir)

    def _suspended(self) -> bool:
        return self.delivery is not None and self.delivery.suspended

    async def _bind(self, admin: socket.socket) -> None:
        """Metrics first: whoever asks whether the sidecar has started is told so as soon as the others are bound."""
        listen = self.settings.listen
        await self._admin.start(admin)
        http = await self._http.start(listen.http.host or ANY, listen.http.port)
        grpc = await self._grpc.start(listen.grpc.host or ANY, listen.grpc.port)
        own = {}
        if listen.zipkin is not None:
            zipkin = await self._zipkin.start(listen.zipkin.host or ANY, listen.zipkin.port)
            own["zipkin"] = listen.zipkin.with_port(zipkin)
        self._all_bound.set()
        logger.info(
            "listening",
            extra={
                "grpc": listen.grpc.with_port(grpc),
                "http": listen.http.with_port(http),
                "metrics": listen.admin.with_port(admin.getsockname()[1]),
                **own,
            },
        )

    async def _deliver(self) -> None:
        """Deliver for ever. Called again if anything in it dies."""
        if not self.settings.adopt_from:  # Else delivery claims the folder first.
            await self.buffer.open()  # From here on spans are taken; what is imported next can wait.
        if self.delivery is None:
            await asyncio.to_thread(import_module, "tracekeeper_sidecar.delivery")
            from tracekeeper_sidecar.adopt.folders import SystemFolders  # noqa: PLC0415 - slow import
            from tracekeeper_sidecar.delivery import Delivery  # noqa: PLC0415 - slow import

            self.delivery = Delivery(
                self.settings,
                self.buffer,
                self.intake,
                self.clock,
                SystemFolders(),
                self._scrapes,
                self._receiver,
                self._anteroom,
                self.page,
            )
            self._delivering.set()
        await self.delivery.run()

    async def _drain(self) -> None:
        """Take nothing new, deliver what time allows, and say what stayed."""
        timeout, folder = self.settings.drain_timeout, self.settings.data_dir
        self._scrapes.newborns.end()
        self.draining = True
        logger.info("stopping: delivering what is pending", extra={"timeout": timeout})
        await self._stop_receivers(RECEIVER_GRACE)
        deadline = self.clock.monotonic() + timeout
        delivery = await self._begun(timeout)
        left = await delivery.drain(max(0.0, deadline - self.clock.monotonic())) if delivery else None
        if delivery is not None:
            await delivery.pushers.end()
        if left is None or (left.problem and not left.spans):
            problem = left.problem if left else self.buffer.problem or "delivery had not begun"
            logger.warning("stopped without delivering: %s; what %s holds stays as it is", problem, folder)
        elif left.spans:
            why = f" ({left.problem})" if left.problem else ""
            logger.warning(
                "%d spans unsent%s: they stay in %s and are sent when a sidecar starts on it again",
                left.spans,
                why,
                folder,
                extra={"unsent": left.spans},
            )
        else:
            logger.info("stopped: every acknowledged span has been delivered", extra={"unsent": 0})

    async def _stop_receivers(self, grace: float) -> None:
        await asyncio.gather(self._http.stop(grace), self._grpc.stop(grace), self._zipkin.stop(grace))

    async def _close(self) -> None:
        await self._stop_receivers(0)
        await self.keeper.stop(DELIVERY)
        if self.delivery is not None:
            await self.delivery.close()
        await self.buffer.close()
        await self._admin.stop()


def _anteroom(settings: Settings) -> Anteroom | None:
    """Where requests wait until the policy is read, if it may say what is to be done with them before they are stored.
    A glance takes no time, and most policies have none of it."""
    if not glance.may_process(settings):
        return None
    from tracekeeper_sidecar.process.anteroom import Anteroom  # noqa: PLC0415 - not on the way to the ports

    return Anteroom()


def serve(settings: Settings, admin: socket.socket) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. `admin` is the metrics port, listening already."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, admin))


async def _serve(settings: Settings, admin: socket.socket) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop)
    try:
        await App(settings, SystemClock(), SystemFiles()).run(stop, admin)
    except ListenError as error:
        logger.error("%s", error)
        return NOT_BOUND
    return STOPPED


def _on_signal(stop: asyncio.Event) -> None:
    """The first signal asks for a drain; the second ends the process, which loses nothing that was acknowledged."""
    if stop.is_set():
        logger.warning("second signal: stopped without waiting for delivery")
        os._exit(STOPPED)
    stop.set()

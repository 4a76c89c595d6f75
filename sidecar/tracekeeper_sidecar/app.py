"""The composition root: binds the ports, then opens the log, then follows the policy; on a stop, drains in reverse.

    ports bound ─▶ /startupz passes ─▶ the log opens (in a thread) ─▶ policy applied ─▶ spans are forwarded
    SIGTERM ─▶ OTLP ports closed ─▶ drain ─▶ cursors and log closed ─▶ metrics port closed

Ports come first because the application's containers wait for the start-up probe: neither the log's size nor the
policy's content may hold them up. What only forwarding needs is imported after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
from typing import TYPE_CHECKING

from tracekeeper_sidecar import facts, logs
from tracekeeper_sidecar.admin.server import AdminServer, Probes
from tracekeeper_sidecar.buffer import Buffer
from tracekeeper_sidecar.clock import Clock, SystemClock
from tracekeeper_sidecar.errors import ListenError, LogUnavailable
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.log.files import Files, SystemFiles
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.otlp_http import HttpReceiver
from tracekeeper_sidecar.settings import Settings

if TYPE_CHECKING:
    from tracekeeper_sidecar.admin.snapshot import Snapshot
    from tracekeeper_sidecar.control.source import Instruction
    from tracekeeper_sidecar.control.watcher import Watcher
    from tracekeeper_sidecar.forward.forwarder import Forwarder
    from tracekeeper_sidecar.log.cursor import CursorStore
    from tracekeeper_sidecar.receive.otlp_grpc import GrpcReceiver

logger = logging.getLogger(__name__)

RECEIVER_GRACE = 1.0
"""Seconds that requests under way get when the ports close; the log alone answers them, within milliseconds."""
MAX_IN_FLIGHT = 96 << 20
"""Bytes of requests in memory at once: one of the largest size that OTLP allows, and ordinary ones beside it."""
LEDGER_INTERVAL = 1.0
"""Seconds between looks at whether the receivers' counts need saving."""
DELIVERY = "delivery"
ANY = "0.0.0.0"
STOPPED, NOT_BOUND = 0, 1


class App:
    """One sidecar. `run` once."""

    def __init__(self, settings: Settings, clock: Clock, files: Files) -> None:
        self.settings, self.clock = settings, clock
        self.intake = Intake()
        self.buffer = Buffer(settings.data_dir, settings.storage_bytes, files, clock)
        self.keeper = Keeper(clock, random.random)
        self.forwarder: Forwarder | None = None
        self.watcher: Watcher | None = None
        self._all_bound = asyncio.Event()
        self.suspended = False
        self._instructed = asyncio.Event()
        """Set once the policy's file has been looked at, whatever it said."""
        self.recent_calls = facts.RecentCalls(clock)
        receiver = Receiver(self.buffer.append, self.intake, Admission(MAX_IN_FLIGHT), lambda: self.suspended)
        self._receiver = receiver
        self._http = HttpReceiver(receiver)
        self._grpc: GrpcReceiver | None = None
        probes = Probes(self.snapshot, self.started, self.stuck, self.flush)
        self._admin = AdminServer(probes)

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
        return facts.take(self)

    async def started(self, patience: float) -> bool:
        """Whether every port is bound; waits at most `patience` seconds for it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_bound.wait(), patience)
        return self._all_bound.is_set()

    def stuck(self) -> str:
        """Why only a restart would help; empty while none is needed."""
        log = self.buffer.log
        return "the log's writer has ended" if log is not None and not log.alive else ""

    async def flush(self, timeout: float) -> int:  # noqa: ASYNC109 - the answer says what is left
        """Deliver what is pending now within `timeout` seconds; returns the spans that still are."""
        log = self.buffer.log
        if log is None or self.forwarder is None or await self.forwarder.flush(log.end, timeout):
            return 0
        return sum(entry.pending for entry in self.forwarder.entries())

    async def _bind(self, admin: socket.socket) -> None:
        """Metrics and HTTP first: gRPC's library takes longest to import, and probes are answered meanwhile."""
        listen = self.settings.listen
        await self._admin.start(admin)
        http = await self._http.start(listen.http.host or ANY, listen.http.port)
        from tracekeeper_sidecar.receive.otlp_grpc import GrpcReceiver  # noqa: PLC0415 - slow import

        self._grpc = GrpcReceiver(self._receiver)
        grpc = await self._grpc.start(listen.grpc.host or ANY, listen.grpc.port)
        self._all_bound.set()
        logger.info(
            "listening",
            extra={
                "grpc": listen.grpc.with_port(grpc),
                "http": listen.http.with_port(http),
                "metrics": listen.admin.with_port(admin.getsockname()[1]),
            },
        )

    async def _deliver(self) -> None:
        """Open the log, then follow the policy for ever. Called again if anything in it dies."""
        log = await self.buffer.open()
        from tracekeeper_sidecar.control.source import ManifestSource, PolicySource  # noqa: PLC0415 - slow imports
        from tracekeeper_sidecar.control.watcher import Watcher  # noqa: PLC0415
        from tracekeeper_sidecar.forward.forwarder import Forwarder  # noqa: PLC0415
        from tracekeeper_sidecar.log.cursor import CursorStore  # noqa: PLC0415

        cursors = CursorStore(self.settings.data_dir, self.buffer.files)
        if self.forwarder is None:  # It outlives a death of this task: its entries go on meanwhile.
            self._load_intake(cursors.load_intake())
            self.forwarder = Forwarder(log, cursors, self.clock)
        settings = self.settings
        source = (
            ManifestSource(settings.config_file, settings.secrets_dir)
            if settings.config_file
            else PolicySource(settings.policy_file or "", settings.pod_info_dir)
        )
        watcher = self.watcher = Watcher(source, self._apply, self.clock, settings.poll_interval)
        await watcher.look()
        self._instructed.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(watcher.run(), name="policy")
            group.create_task(self._keep_intake(cursors), name="ledger")

    async def _apply(self, instruction: Instruction) -> None:
        assert self.forwarder is not None
        spec = instruction.spec
        logs.set_level(spec.log_level)
        await self.forwarder.apply(spec.backends, spec.delivery, instruction.secrets)
        self.suspended = spec.suspend

    def _load_intake(self, saved: Intake | None) -> None:
        """Add what earlier processes counted on this directory."""
        if saved is None:
            return
        self.intake.refused.update(saved.refused)
        self.intake.refused_requests.update(saved.refused_requests)
        self.intake.suspended += saved.suspended

    async def _keep_intake(self, cursors: CursorStore) -> None:
        """Save the receivers' counts when they have changed; a crash forgets at most the last second's refusals."""
        saved = None
        while True:
            current = self.intake.copy()
            if current != saved:
                try:
                    await asyncio.to_thread(cursors.save_intake, current)
                    saved = current
                except LogUnavailable as error:
                    logger.warning("the receivers' counts cannot be saved: %s", error)
            await self.clock.sleep(LEDGER_INTERVAL)

    async def _drain(self) -> None:
        """Take nothing new, deliver what time allows, and say what stayed."""
        logger.info("stopping: delivering what is pending", extra={"timeout": self.settings.drain_timeout})
        await self._stop_receivers(RECEIVER_GRACE)
        left = await self._deliver_rest(self.clock.monotonic() + self.settings.drain_timeout)
        if left:
            logger.warning(
                "%d spans unsent: they stay in %s and are sent when a sidecar starts on it again",
                left,
                self.settings.data_dir,
                extra={"unsent": left},
            )
        else:
            logger.info("stopped: every acknowledged span has been delivered", extra={"unsent": 0})

    async def _deliver_rest(self, deadline: float) -> int:
        """Deliver until `deadline`; returns the spans that stay, owed to one delivery entry or another."""
        try:  # A stop right after the start: what was taken meanwhile has not even had its entries yet.
            await asyncio.wait_for(self._instructed.wait(), deadline - self.clock.monotonic())
        except TimeoutError:
            logger.warning("no policy was read in time: nothing can be delivered")
        if self.forwarder is not None and self.forwarder.entries():
            return sum((await self.forwarder.drain(deadline - self.clock.monotonic())).values())
        log = self.buffer.log
        return log.end.seq - log.begin.seq if log is not None else 0

    async def _stop_receivers(self, grace: float) -> None:
        receivers = [self._http.stop(grace)] + ([self._grpc.stop(grace)] if self._grpc else [])
        await asyncio.gather(*receivers)

    async def _close(self) -> None:
        await self._stop_receivers(0)
        await self.keeper.stop(DELIVERY)
        if self.forwarder is not None:
            await self.forwarder.close()
        await self.buffer.close()
        await self._admin.stop()


def serve(settings: Settings, admin: socket.socket) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. `admin` is the metrics port, listening already."""
    # gRPC's core writes lines of its own, in a format of its own; what matters in them is in ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    return asyncio.run(_serve(settings, admin))


async def _serve(settings: Settings, admin: socket.socket) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop)
    try:
        await App(settings, SystemClock(), SystemFiles()).run(stop, admin)
    except ListenError as error:
        logger.error("%s. Is another sidecar or collector running there? Choose another port", error)
        return NOT_BOUND
    return STOPPED


def _on_signal(stop: asyncio.Event) -> None:
    """The first signal asks for a drain; the second ends the process, which loses nothing that was acknowledged."""
    if stop.is_set():
        logger.warning("second signal: stopped without waiting for delivery")
        os._exit(STOPPED)
    stop.set()

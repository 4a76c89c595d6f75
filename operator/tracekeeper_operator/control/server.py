"""The control server: one port with TLS for sidecars that attach, and for people who ask them for something."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import grpc
from grpc import aio

from ..certs import Material
from ..clock import Clock
from ..errors import ListenError
from ..metrics import ControllerMetrics
from ..settings import Address
from ..tasks import run_until
from .attach import Attach, Standings, Told, Verify
from .attached import Attached
from .circles import Circles, Configs
from .facts import ConfigFacts
from .ledgers import Began, Ledgers
from .messages import LONGEST_MESSAGE
from .rounds import Rounds

__all__ = ["Attached", "ConfigFacts", "ControlServer"]

logger = logging.getLogger(__name__)

SETTLE = 30.0
"""Seconds after the start in which no parts are told: sidecars hold on to the ones they have for as long, and come back
within that. Told at once, the first to come would have the whole target."""
LOOK_EVERY = 1.0
"""Seconds between two looks at the certificate."""
GRACE = 1.0
"""Seconds that calls have to end in when the server stops."""

OPTIONS = (
    ("grpc.so_reuseport", 0),  # two servers on one port would each have half of the sidecars
    ("grpc.max_receive_message_length", LONGEST_MESSAGE),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 60_000),
    # When thousands come at a time, those who are not listened to yet wait; sent away they would come again.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    ("grpc.server_max_unrequested_time_in_server", 60),
    # Sidecars look for dead connections with a PING after 20 s of silence, and so does the server.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # As large as messages are: without probing for more, a stream that rests has small buffers.
    ("grpc.http2.bdp_probe", 0),
)


class ControlServer:
    """`run` until cancelled; everything else on the same event loop."""

    def __init__(
        self,
        listen: Address,
        material: Callable[[], Material | None],
        verify: Verify,
        configs: Configs,
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        settle: float = SETTLE,
    ) -> None:
        """`material` is asked again and again: when it answers with another certificate, all attach anew; None while
        there is none yet. `configs` has TracingConfigs by UID, and only such as are in force.
        """
        self._listen, self._material, self._clock = listen, material, clock
        circles = Circles(configs)
        self._attach = Attach(verify, circles, clock, metrics)
        self._rounds = Rounds(self._attach, circles, clock, metrics, settle)
        self._handlers: list[grpc.GenericRpcHandler] = [self._attach]
        self.started = asyncio.Event()
        """Set when sidecars can come."""
        self.began: Began | None = None
        """When sidecars could come first; None before."""
        self.port = 0
        """The bound port, once started."""

    def add(self, handler: grpc.GenericRpcHandler) -> None:
        """Serve this, too. Before `run`."""
        self._handlers.append(handler)

    def attached(self, config_uid: str) -> list[Attached]:
        """Sidecars that work by that config, in the order in which they came."""
        return self._attach.attached(config_uid)

    def pods(self) -> Mapping[str, Attached]:
        """All sidecars that are attached, by the UIDs of their pods."""
        return self._attach.pods()

    @property
    def ledgers(self) -> Ledgers:
        """What sidecars that are away have said last."""
        return self._attach.ledgers

    def on_standing(self, callback: Standings) -> None:
        """Also call this with the UID of a config about whose sidecars there is something new."""
        self._attach.on_standing(callback)

    def on_told(self, kind: str, callback: Told) -> None:
        """Also call this with what sidecars say of an errand: `dump`, `tap` or `test`."""
        self._attach.on_told(kind, callback)

    async def run(self) -> None:
        """Serve until cancelled, from when there is a certificate. Raises ListenError."""
        material = await self._first()
        never = asyncio.Event()
        await run_until(never, {"rounds": self._rounds.run(), "control": self._serve(material)})

    async def _serve(self, material: Material) -> None:
        """One server after the other, each for one certificate. gRPC can be given another one while it serves, but
        crashed when that met with handshakes. Sidecars come back within seconds, and have their parts still.
        """
        while True:
            server = aio.server(options=OPTIONS)
            server.add_generic_rpc_handlers(tuple(self._handlers))
            self._bind(server, material)
            await server.start()
            logger.info("sidecars can attach at %s", self._listen)
            self.started.set()
            self.began = self.began or Began(self._clock.monotonic(), self._clock.now())
            try:
                material = await self._another(material)
                logger.info("the certificate is another one: sidecars attach anew")
            finally:
                self.started.clear()
                await server.stop(GRACE)

    def _bind(self, server: aio.Server, material: Material) -> None:
        pair = (material.key.encode(), material.certificate.encode())
        credentials = grpc.ssl_server_credentials([pair])
        host = f"[{self._listen.host}]" if ":" in self._listen.host else self._listen.host or "[::]"
        try:
            self.port = server.add_secure_port(f"{host}:{self.port or self._listen.port}", credentials)
        except RuntimeError as error:
            raise ListenError(str(self._listen), str(error)) from error

    async def _another(self, served: Material) -> Material:
        """When there is another certificate. Authorities alone are nothing that is served."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            newest = self._material()
            if newest is not None and (newest.certificate, newest.key) != (served.certificate, served.key):
                return newest

    async def _first(self) -> Material:
        while True:
            if (material := self._material()) is not None:
                return material
            await asyncio.sleep(LOOK_EVERY)

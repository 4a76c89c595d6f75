"""The control stream's pieces, put together for the controller."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from ..certs import Material
from ..clock import Clock
from ..kube import Kube
from ..metrics import ControllerMetrics
from ..settings import Address
from ..store import Store
from .index import ConfigIndex
from .keys import Keys
from .people import People
from .persons import Persons
from .server import ControlServer
from .tokens import Tokens


class ControlService:
    """Sidecars by the tokens of their pods, people by their own, on one port."""

    def __init__(
        self,
        kube: Kube,
        listen: Address,
        material: Callable[[], Material | None],
        index: ConfigIndex,
        store: Store,
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> None:
        self._keys = Keys(kube, clock)
        verify = Tokens(self._keys, clock).verify
        self._server = ControlServer(listen, material, verify, index.find, clock, metrics)
        self._server.add(People(Persons(kube), store.get, self._server, clock).handler())

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """To be run together, each until cancelled. The server's raises ListenError."""
        return {"keys": self._keys.run(), "control": self._server.run()}

    def problem(self) -> str:
        """What keeps sidecars from coming, as far as it is up to this process; empty when nothing does."""
        return "" if self._server.started.is_set() else "the control server does not listen yet"

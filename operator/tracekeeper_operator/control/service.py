"""The control stream's pieces, put together for the controller."""

from __future__ import annotations

import asyncio
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
        on_news: Callable[[str], None] = lambda namespace: None,
    ) -> None:
        """`on_news` is called when there is something new to be said in the statuses of a namespace's configs."""
        self._keys = Keys(kube, clock)
        self.verify = Tokens(self._keys, clock).verify
        """Whose pod a token is. Raises TokenRefused."""
        self._server = ControlServer(listen, material, self.verify, index.find, clock, metrics)
        self._index, self._on_news = index, on_news
        self._server.on_standing(self._tell_of)
        self._server.add(People(Persons(kube), store.get, self._server, clock, index.spec).handler())

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """To be run together, each until cancelled. The server's raises ListenError."""
        return {"keys": self._keys.run(), "control": self._server.run()}

    @property
    def started(self) -> asyncio.Event:
        """Set while sidecars can come."""
        return self._server.started

    @property
    def sidecars(self) -> ControlServer:
        """For whoever asks about those that are attached."""
        return self._server

    def problem(self) -> str:
        """What keeps sidecars from coming, as far as it is up to this process; empty when nothing does."""
        return "" if self._server.started.is_set() else "the control server does not listen yet"

    def _tell_of(self, config_uid: str) -> None:
        facts = self._index.find(config_uid)
        if facts is not None:
            self._on_news(facts.namespace)

"""Which kinds of the Prometheus operator the API server has: they may come and go while we run.

Asked of the API server's discovery, which everybody may read, so no right on CustomResourceDefinitions is needed. It is
one request a minute where the Prometheus operator is not, and two where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import NotFound
from ..kinds import Kind
from ..kube import Kube
from .kinds import ALERTMANAGER_CONFIGS, READ, WRITTEN

EVERY = 60.0
"""Seconds between two looks."""
AGAIN = 15.0
"""The same after one that did not see what was there before."""
ALL = (*WRITTEN, *READ)
FIRST = tuple(kind for kind in ALL if kind is not ALERTMANAGER_CONFIGS)
"""Those of the version that is asked for first; without it, the other one has no use."""


class Presence:
    """Looks when it is told to."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._absent: frozenset[Kind] = frozenset()
        """Those that were not seen by the last look."""
        self.kinds: frozenset[Kind] = frozenset()
        """What is there. One that was there is gone when two looks in a row do not see it: while a definition is
        replaced, or an API server starts, nothing is deleted."""
        self.known = False
        """Whether there was a look at all."""

    @property
    def unsure(self) -> bool:
        """Whether the last look did not see something that was there."""
        return bool(self.kinds & self._absent)

    async def look(self) -> bool:
        """Whether it is otherwise than before. Raises KubeError; then everything stays as it was."""
        seen = await self._seen(FIRST)
        if seen:
            seen |= await self._seen((ALERTMANAGER_CONFIGS,))
        absent = frozenset(ALL) - seen
        kinds = seen | (self.kinds - (absent & self._absent))
        changed = kinds != self.kinds or not self.known
        self.kinds, self._absent, self.known = kinds, absent, True
        return changed

    async def _seen(self, kinds: tuple[Kind, ...]) -> frozenset[Kind]:
        try:
            found = await self._kube.document(f"/apis/{kinds[0].api_version}")
        except NotFound:
            return frozenset()
        names = {str(item.get("name")) for item in _items(found) if isinstance(item, Mapping)}
        return frozenset(kind for kind in kinds if kind.plural in names)


def _items(found: Mapping[str, Any]) -> list[Any]:
    items = found.get("resources")
    return items if isinstance(items, list) else []

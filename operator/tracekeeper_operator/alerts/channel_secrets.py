"""The Secrets that channels name, for plain files: read by name, one at a time, and at most so often.

Their values go into one Secret, beside the Alertmanager that uses them, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tracekeeper_spec.alert.routing import Routing

from ..clock import Clock
from ..errors import Forbidden, KubeError, NotFound
from ..kinds import SECRETS
from ..kube import Kube
from ..secret_read import read_secret
from .alertmanager_config import references

LEAST, MOST = 300.0, 1800.0
"""Seconds after which a Secret is read again: a rotated one tells nobody. The more there are, the longer it takes."""
BUDGET = 0.1
"""Reads a second, on average."""
MISSING_AGAIN = 60.0
"""Seconds after which one is looked for again that is not there."""

Place = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class _Read:
    at: float
    keys: frozenset[str]
    values: Mapping[str, bytes] | None
    """None where it could not be read."""
    forbidden: bool = False


class NamespaceSecrets:
    """What was read of one namespace, as renderers ask for it."""

    def __init__(self, values: Mapping[str, Mapping[str, bytes]]) -> None:
        self._values = values

    def get(self, name: str, key: str) -> bytes | None:
        return self._values.get(name, {}).get(key)


class ChannelSecrets:
    """Remembers what was read last."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube, self._clock = kube, clock
        self._reads: dict[Place, _Read] = {}

    async def read(self, wanted: Iterable[Routing]) -> None:
        """Read what is new or due of what these need. Raises KubeError; what was known before stays then."""
        needed: dict[Place, set[str]] = {}
        for routes in wanted:
            namespace = routes.config.partition("/")[0]
            for name, keys in references(routes).items():
                needed.setdefault((namespace, name), set()).update(keys)
        self._reads = {place: found for place, found in self._reads.items() if place in needed}
        now = self._clock.monotonic()
        again = min(MOST, max(LEAST, len(needed) / BUDGET))
        for place, keys in sorted(needed.items()):
            before = self._reads.get(place)
            if before is not None and keys <= before.keys:
                wait = again if before.values is not None and keys <= before.values.keys() else MISSING_AGAIN
                if now - before.at < wait:
                    continue
            self._reads[place] = await self._read(place, keys, before, now)

    async def _read(self, place: Place, keys: set[str], before: _Read | None, now: float) -> _Read:
        known, forbidden = before.values if before is not None else None, False
        try:
            known = read_secret(await self._kube.get(SECRETS, *place), keys).data
        except NotFound:
            known = None
        except Forbidden:
            forbidden = True
        except KubeError:
            if known is None:
                raise
        return _Read(now, frozenset(keys), known, forbidden)

    def forbidden(self, namespace: str) -> frozenset[str]:
        """The names of a namespace's Secrets that the operator may not read."""
        return frozenset(name for (owner, name), found in self._reads.items() if owner == namespace and found.forbidden)

    def of(self, namespace: str) -> NamespaceSecrets:
        """What is known of a namespace's Secrets."""
        return NamespaceSecrets(
            {name: found.values or {} for (owner, name), found in self._reads.items() if owner == namespace}
        )

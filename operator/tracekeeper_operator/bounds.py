"""What LimitRanges and ResourceQuotas of a namespace ask of a container: kept in memory, for the injector.

The API server refuses a pod whose sidecar breaks one of them, the application included; so the sidecar is made to fit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar

from tracekeeper_spec.units import parse_amount

from .store import Object, key_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bound:
    """What a LimitRange says of one resource; None where it says nothing."""

    least: Decimal | None = None
    most: Decimal | None = None
    ratio: Decimal | None = None
    """Of the limit to the request, at most."""
    limit: Decimal | None = None
    """Of a container that sets none."""

    def joined(self, other: Bound) -> Bound:
        """What both ask for together; of two defaults, the first."""
        return Bound(
            least=_pick(max, self.least, other.least),
            most=_pick(min, self.most, other.most),
            ratio=_pick(min, self.ratio, other.ratio),
            limit=self.limit if self.limit is not None else other.limit,
        )


NO_BOUND = Bound()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds in one namespace, by the names of resources."""

    container: Mapping[str, Bound] = field(default_factory=dict)
    pod: Mapping[str, Bound] = field(default_factory=dict)
    """For the sum of a pod's containers."""
    needed: frozenset[str] = frozenset()
    """Of which every container must set something, because a ResourceQuota counts it: `limits.cpu`."""


UNBOUND = Bounds()


class _ByNamespace(ABC, Generic[T]):
    """What is known of one kind of objects. One task writes it; reading never waits."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, T]] = {}

    def of(self, namespace: str) -> list[T]:
        known = self._known.get(namespace, {})
        return [known[name] for name in sorted(known)]

    def replace(self, manifests: Iterable[Object]) -> None:
        """Take over a complete list."""
        self._known = {}
        for manifest in manifests:
            self.put(manifest)

    def put(self, manifest: Object) -> None:
        """Take over one object."""
        namespace, name = key_of(manifest)
        self._known.setdefault(namespace, {})[name] = self.read(_object(manifest.get("spec")))

    def remove(self, manifest: Object) -> None:
        """Forget one object."""
        namespace, name = key_of(manifest)
        known = self._known.get(namespace, {})
        known.pop(name, None)
        if not known:
            self._known.pop(namespace, None)

    @abstractmethod
    def read(self, spec: Mapping[str, Any]) -> T:
        """What matters of it."""


@dataclass(frozen=True, slots=True)
class _Range:
    container: Mapping[str, Bound]
    pod: Mapping[str, Bound]


class Ranges(_ByNamespace[_Range]):
    """LimitRanges."""

    def read(self, spec: Mapping[str, Any]) -> _Range:
        items = spec.get("limits")
        found = [_object(item) for item in items] if isinstance(items, list) else []
        return _Range(
            container=_together(_bounds(item) for item in found if item.get("type") == "Container"),
            pod=_together(_bounds(item) for item in found if item.get("type") == "Pod"),
        )


class Quotas(_ByNamespace[frozenset[str]]):
    """ResourceQuotas: only which resources they count, because that is what every container must then set."""

    def read(self, spec: Mapping[str, Any]) -> frozenset[str]:
        return frozenset(key for key in _object(spec.get("hard")) if key.startswith(("limits.", "requests.")))


class Limits:
    """Both together."""

    def __init__(self) -> None:
        self.ranges, self.quotas = Ranges(), Quotas()

    def of(self, namespace: str) -> Bounds:
        ranges = self.ranges.of(namespace)
        needed: frozenset[str] = frozenset().union(*self.quotas.of(namespace))
        if not ranges and not needed:
            return UNBOUND
        return Bounds(
            container=_together(item.container for item in ranges),
            pod=_together(item.pod for item in ranges),
            needed=needed,
        )


def _together(parts: Iterable[Mapping[str, Bound]]) -> dict[str, Bound]:
    found: dict[str, Bound] = {}
    for part in parts:
        for name, bound in part.items():
            found[name] = found.get(name, NO_BOUND).joined(bound)
    return found


def _bounds(item: Mapping[str, Any]) -> dict[str, Bound]:
    """By resource. Where there is a maximum and no default, the API server takes the one for the other."""
    columns = {
        "least": dict(_amounts(item.get("min"))),
        "most": dict(_amounts(item.get("max"))),
        "ratio": dict(_amounts(item.get("maxLimitRequestRatio"))),
        "limit": dict(_amounts(item.get("default"))),
    }
    names = {name for column in columns.values() for name in column}
    return {name: Bound(**{key: column.get(name) for key, column in columns.items()}) for name in names}


def _amounts(section: object) -> Iterator[tuple[str, Decimal]]:
    for name, amount in _object(section).items():
        try:
            yield name, parse_amount(amount)
        except ValueError:  # Finer than a thousandth: no bound that anything of ours could break.
            continue


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pick(choose: Any, a: Decimal | None, b: Decimal | None) -> Decimal | None:
    present = [value for value in (a, b) if value is not None]
    return choose(present) if present else None

"""What the sidecar's container asks for and may use, in one pod of one namespace. Pure.

As the TracingConfig says, except where the pod or its namespace would suffer from it: a Guaranteed pod stays one, and
what LimitRanges and ResourceQuotas ask of containers is met, since the API server refuses the whole pod otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from tracekeeper_spec.config import StorageType
from tracekeeper_spec.resolve import ResolvedSpec
from tracekeeper_spec.units import format_quantity, parse_amount

from . import names
from .bounds import NO_BOUND, Bound, Bounds
from .pod import Container, Pod
from .storage import EPHEMERAL_STORAGE, LOGS, HostPaths, Storage

CPU, MEMORY = "cpu", "memory"
COMPUTE = (CPU, MEMORY)
"""The resources that make a pod Guaranteed."""
GUARANTEED_CPU = Decimal("0.2")
"""Cores in a Guaranteed pod, where the request is the limit, unless the config says more: with less, it starts
slowly."""
CAPPED_CPU = Decimal("0.5")
"""The limit where a ResourceQuota wants one and the config has none."""
LEAST_MEMORY = Decimal(64 << 20)
LEAST_CPU = Decimal("0.01")
LEAST_BUFFER = 16 << 20
"""Bytes. With less than any of these, the sidecar would not start, or be of no use: the pod is better off without."""
MIB = 1 << 20

Amounts = dict[str, Decimal]


class NoRoom(Exception):
    """The namespace's LimitRange leaves too little for a sidecar; the text says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What becomes of one pod."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]
    whole: Mapping[str, Mapping[str, str]]
    """The pod's own requests and limits (`spec.resources`) with the sidecar's added; empty where it has none."""
    note: str
    """For the Event: what is other than the config says; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class _Pair:
    request: Decimal | None
    limit: Decimal | None

    @property
    def tied(self) -> _Pair:
        """With the request at the limit."""
        most = self.limit if self.limit is not None else self.request
        return _Pair(most, most)


def fit_buffer(
    pod: Pod, spec: ResolvedSpec, namespace: str, bounds: Bounds, host_paths: HostPaths
) -> tuple[ResolvedSpec, str]:
    """The spec with as much of its buffer as fits, and what to say of it. Raises NoRoom."""
    storage = spec.sidecar.storage
    on_disk = storage.type is StorageType.EMPTY_DIR or host_paths.refusal(spec, namespace) != ""
    most = _most(pod, bounds, EPHEMERAL_STORAGE)
    if names.BUFFER_VOLUME in pod.volumes or not on_disk or most is None or most >= storage.size + LOGS:
        return spec, ""
    size = int(most - LOGS) // MIB * MIB
    if size < LEAST_BUFFER:
        raise NoRoom(
            f"its LimitRange leaves {_text(EPHEMERAL_STORAGE, max(most, Decimal(0)))} of ephemeral-storage, and the "
            f"sidecar needs {format_quantity(LEAST_BUFFER + LOGS)} for its buffer and log: raise it, or choose another "
            "spec.sidecar.storage.type"
        )
    less = replace(storage, size=size, history=storage.history * size // storage.size)
    note = (
        f"its buffer has {format_quantity(size)} instead of {format_quantity(storage.size)}, because of the "
        "namespace's LimitRange"
    )
    return replace(spec, sidecar=replace(spec.sidecar, storage=less)), note


def demand(pod: Pod, spec: ResolvedSpec, storage: Storage, bounds: Bounds) -> Demand:
    """Decide about one pod. Raises NoRoom."""
    asked, capped = _wished(spec, storage, bounds)
    firm = guaranteed(pod)
    requests: Amounts = {}
    limits: Amounts = {}
    changes: list[str] = []
    for name in (CPU, MEMORY, EPHEMERAL_STORAGE):
        wish = _Pair(asked.get(name), capped.get(name))
        # A share with no room between request and limit keeps whatever ratio the pod has as a whole.
        tied = (firm and name in COMPUTE) or bounds.pod.get(name, NO_BOUND).ratio is not None
        pair = _tie(name, wish) if tied else _capped(name, wish, bounds)
        bound = bounds.container.get(name, NO_BOUND)
        fitted = _fit(name, pair, bound, _most(pod, bounds, name), tied=tied)
        _check(name, bound, pair, fitted)
        for field, found, old, given in (
            ("requests", requests, pair.request, fitted.request),
            ("limits", limits, pair.limit, fitted.limit),
        ):
            if given is not None:
                found[name] = given
            if old is not None and given != old:
                changes.append(f"{field}.{name} {_text(name, given)} instead of {_text(name, old)}")
    wanted = _texts(spec.sidecar.resources.requests, requests), _texts(spec.sidecar.resources.limits, limits)
    note = f"to fit the namespace's LimitRange it has {', '.join(changes)}" if changes else ""
    return Demand(*wanted, whole=_whole(pod, requests, limits), note=note)


def guaranteed(pod: Pod) -> bool:
    """Whether the pod without the sidecar is of the class Guaranteed, by the kubelet's rules."""
    whole = _section(pod.spec.get("resources"))
    items = [whole] if whole else [_section(item.body.get("resources")) for item in _all(pod)]
    for name in COMPUTE:
        asked, capped = Decimal(0), Decimal(0)
        for resources in items:
            limit = _amount(resources, "limits", name)
            if not limit:
                return False
            request = _amount(resources, "requests", name)
            capped += limit
            asked += limit if request is None else request
        if asked != capped:
            return False
    return True


def _wished(spec: ResolvedSpec, storage: Storage, bounds: Bounds) -> tuple[Amounts, Amounts]:
    """As the config says, and what the buffer takes of the node's disk where it says nothing of that."""
    requests = {name: parse_amount(text) for name, text in spec.sidecar.resources.requests.items()}
    limits = {name: parse_amount(text) for name, text in spec.sidecar.resources.limits.items()}
    ours = Decimal(storage.ephemeral)
    requests.setdefault(EPHEMERAL_STORAGE, min(ours, limits.get(EPHEMERAL_STORAGE, ours)))
    if storage.limited or f"limits.{EPHEMERAL_STORAGE}" in bounds.needed:
        limits.setdefault(EPHEMERAL_STORAGE, max(ours, requests[EPHEMERAL_STORAGE]))
    return requests, limits


def _tie(name: str, wish: _Pair) -> _Pair:
    if name == CPU and wish.limit is None:
        return _Pair(None, max(wish.request or Decimal(0), GUARANTEED_CPU)).tied
    return wish.tied


def _capped(name: str, wish: _Pair, bounds: Bounds) -> _Pair:
    """With a limit where something wants one of every container."""
    if wish.limit is not None:
        return wish
    bound = bounds.container.get(name, NO_BOUND)
    if bound.limit is not None or bound.most is not None:
        # What the API server would fill in, but never less than the request, which makes a pod invalid.
        usual = bound.limit if bound.limit is not None else bound.most
        return _Pair(wish.request, max(usual or Decimal(0), wish.request or Decimal(0)))
    if name == CPU and (f"limits.{name}" in bounds.needed or bound.ratio is not None):
        return _Pair(wish.request, max(wish.request or Decimal(0), CAPPED_CPU))
    if bound.ratio is not None:
        return wish.tied
    return wish


def _fit(name: str, pair: _Pair, bound: Bound, most: Decimal | None, *, tied: bool) -> _Pair:
    request, limit = (_between(value, bound.least, most) for value in (pair.request, pair.limit))
    if tied or limit is None or request is None:
        return _Pair(request, limit)
    if bound.ratio is not None and limit > request * bound.ratio:
        request = min(limit, _whole_unit(name, limit / bound.ratio))
    return _Pair(request, limit)


def _between(value: Decimal | None, least: Decimal | None, most: Decimal | None) -> Decimal | None:
    if value is None:
        return None
    raised = value if least is None else max(value, least)
    return raised if most is None else min(raised, most)


def _check(name: str, bound: Bound, pair: _Pair, fitted: _Pair) -> None:
    """What the config asks for may be as small as it likes, as long as the API server takes it."""
    found = [value for value in (fitted.request, fitted.limit) if value is not None]
    useful = {CPU: LEAST_CPU, MEMORY: LEAST_MEMORY}.get(name, Decimal(0)) if fitted != pair else Decimal(0)
    for given, needed in ((min(found, default=None), bound.least), (max(found, default=None), useful)):
        if given is not None and needed is not None and given < needed:
            raise NoRoom(
                f"its LimitRange leaves {_text(name, max(given, Decimal(0)))} of {name}, and the sidecar must have "
                f"{_text(name, needed)} or more: raise the maximum"
            )


def _most(pod: Pod, bounds: Bounds, name: str) -> Decimal | None:
    """What one more container of the pod may have, by the maxima for a container and for the whole pod."""
    found = bounds.container.get(name, NO_BOUND).most
    whole = bounds.pod.get(name, NO_BOUND).most
    if whole is None:
        return found
    room = whole - max(_total(pod, "requests", name), _total(pod, "limits", name))
    return room if found is None else min(found, room)


def _total(pod: Pod, field: str, name: str) -> Decimal:
    """What the pod counts for, as the scheduler reckons: the larger of its start and its run, and its overhead."""
    overhead = _amount({"overhead": pod.spec.get("overhead")}, "overhead", name) or Decimal(0)
    whole = _amount(_section(pod.spec.get("resources")), field, name)
    if whole is not None:
        return whole + overhead
    beside = start = Decimal(0)
    for item in pod.init_containers:
        own = _amount(_section(item.body.get("resources")), field, name) or Decimal(0)
        beside += own if item.stays else 0
        start = max(start, beside if item.stays else beside + own)
    resources = (_section(item.body.get("resources")) for item in pod.containers)
    run = sum((_amount(found, field, name) or Decimal(0) for found in resources), beside)
    return max(start, run) + overhead


def _whole(pod: Pod, requests: Amounts, limits: Amounts) -> dict[str, dict[str, str]]:
    """Where a pod has a budget of its own, the sidecar brings its share along instead of taking the application's."""
    own = _section(pod.spec.get("resources"))
    found: dict[str, dict[str, str]] = {}
    for field in ("requests", "limits"):
        for name in COMPUTE:
            old = _amount(own, field, name)
            share = requests.get(name) if field == "requests" else limits.get(name, requests.get(name))
            if old is not None and share is not None:
                found.setdefault(field, {})[name] = _text(name, old + share)
    return found


def _all(pod: Pod) -> Iterable[Container]:
    return (*pod.init_containers, *pod.containers)


def _section(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _amount(resources: Mapping[str, Any], field: str, name: str) -> Decimal | None:
    found = _section(resources.get(field)).get(name)
    try:
        return None if found is None else parse_amount(found)
    except ValueError:  # Finer than a thousandth: nothing that matters here.
        return None


def _texts(written: Mapping[str, str], amounts: Amounts) -> dict[str, str]:
    """As the config wrote them, where they are that much."""
    return {
        name: written[name] if name in written and parse_amount(written[name]) == amount else _text(name, amount)
        for name, amount in amounts.items()
    }


def _text(name: str, amount: Decimal | None) -> str:
    if amount is None:
        return "none"
    if name != CPU:
        return format_quantity(int(amount.to_integral_value(ROUND_FLOOR)))
    thousandths = int((amount * 1000).to_integral_value(ROUND_FLOOR))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def _whole_unit(name: str, amount: Decimal) -> Decimal:
    """Rounded up to a thousandth of a core, a mebibyte."""
    unit = Decimal("0.001") if name == CPU else Decimal(MIB)
    return (amount / unit).to_integral_value(ROUND_CEILING) * unit

"""Who belongs to which group, by the configs as they are now. Pure; time is monotonic seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tracekeeper_spec.sampling import Per

from .attached import Attached
from .circle import Circle, Key
from .facts import ConfigFacts
from .groups import Group
from .spread import Repeats, Spread


class Configs(Protocol):
    """Where configs are found."""

    def __call__(self, uid: str, namespace: str = "") -> ConfigFacts | None:
        """The config with that UID as it is for the pods of `namespace`, or of its own; None when there is none."""


class Circles:
    """All groups that somebody is attached to."""

    def __init__(self, configs: Configs) -> None:
        self._configs = configs
        self._circles: dict[Key, Circle] = {}
        self._repeats = Repeats()

    def __iter__(self) -> Iterator[Circle]:
        return iter(list(self._circles.values()))

    def __len__(self) -> int:
        return len(self._circles)

    def of(self, attached: Attached) -> Circle | None:
        """None before its Hello."""
        return self._circles.get(attached.group) if isinstance(attached.group, tuple) else None

    def known(self, config_uid: str) -> bool:
        """Whether there is such a config."""
        return self._configs(config_uid) is not None

    def allowed(self, config_uid: str, namespace: str) -> bool:
        """Whether sidecars of that namespace may work by that config."""
        return self._configs(config_uid, namespace) is not None

    def enter(self, attached: Attached, now: float) -> Circle:
        """It works by `attached.config_uid` from now on."""
        facts = self._configs(attached.config_uid, attached.identity.namespace)
        key = _key(attached, facts)
        if attached.group is not None and attached.group != key:
            self.leave(attached, now, for_good=True)
        circle = self._circles.get(key)
        if circle is None:
            circle = self._circles[key] = Circle(key, Spread(key, self._repeats))
        if circle.group is None and facts is not None and facts.adaptive is not None:
            circle.group = Group(facts.adaptive)
        attached.group = key
        circle.attached[attached.identity.uid] = attached
        if circle.group is not None:
            circle.group.join(attached.identity.uid)
        return circle

    def leave(self, attached: Attached, now: float, *, for_good: bool) -> None:
        """Its stream has ended, or it works by another config."""
        circle = self.of(attached)
        attached.group = None
        if circle is None or circle.attached.get(attached.identity.uid) is not attached:
            return
        del circle.attached[attached.identity.uid]
        if circle.group is not None:
            circle.group.leave(attached.identity.uid, now, for_good=for_good)
        if not circle.attached:
            circle.spread.clear()

    def refresh(self, now: float) -> None:
        """Follow the configs: targets, and who shares them. A sidecar whose config is gone shares nothing any more."""
        for circle in self:
            for attached in list(circle.attached.values()):
                if _key(attached, self._configs(attached.config_uid, attached.identity.namespace)) != circle.key:
                    self.enter(attached, now)
            self._follow(circle, self._configs(*circle.key))
            if circle.group is not None:
                circle.group.divide(now)
            if circle.empty:
                del self._circles[circle.key]

    def _follow(self, circle: Circle, facts: ConfigFacts | None) -> None:
        limits = None if facts is None else facts.adaptive
        if limits is None:
            circle.group = None
        elif circle.group is None:
            circle.group = Group(limits)
            for pod in circle.attached:
                circle.group.join(pod)
        else:
            circle.group.configure(limits)


def _key(attached: Attached, facts: ConfigFacts | None) -> Key:
    """Pods of several namespaces share a target, and tell each other of traces, only where a config lent to all of them
    says so by itself."""
    shared = facts is not None and facts.adaptive is not None and facts.adaptive.per is Per.CONFIG
    together = shared and facts is not None and not facts.inherited
    return attached.config_uid, "" if together else attached.identity.namespace

"""Tells owners of pods whose sidecar's image cannot be pulled: until it can be, their application does not start."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ..clock import Clock
from ..events import Notice
from .facts import PodFacts
from .findings import owner
from .health import Health

REASON = "SidecarImageNotPulled"
AGAIN = 3600.0
"""Seconds after which the same owner is told the same again."""
REMEMBERED = 4096
WORDS = 500
"""Characters of the kubelet's."""


class Unpulled:
    """`seen` may be called with every look at a pod; an owner hears of one image once an hour."""

    def __init__(
        self, tell: Callable[[Notice], None], instead: Callable[[str], str | None], allowed: bool, clock: Clock
    ) -> None:
        """`instead` is the image that a new pod of a namespace gets, None for none; `allowed` whether sidecars may get
        another image in place.
        """
        self._tell, self._instead, self._allowed, self._clock = tell, instead, allowed, clock
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()
        """By the owner's UID and the image; monotonic seconds."""

    def seen(self, pod: PodFacts, found: Health) -> None:
        """How the sidecar of one pod fares."""
        if not found.unpullable:
            return
        about, now = owner(pod), self._clock.monotonic()
        key = (about.uid, found.image)
        if now - self._told.get(key, now - AGAIN) < AGAIN:
            return
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        why = f"{found.reason}: {found.message}".removesuffix(": ")[:WORDS]
        text = (
            f"pod {pod.name} does not start, because the image of its sidecar, {found.image}, cannot be pulled "
            f"({why}): mend {self._cause(pod)}; {self._next(pod, found)}"
        )
        self._tell(Notice(about, REASON, text, warning=True))

    def _cause(self, pod: PodFacts) -> str:
        if pod.own_image:
            return "the pod's annotation tracekeeper.dev/image"
        return "the registry, the tag, or the pull secret (the pod's imagePullSecrets, the chart's sidecar.pullSecrets)"

    def _next(self, pod: PodFacts, found: Health) -> str:
        instead = None if pod.own_image else self._instead(pod.namespace)
        if pod.own_image or instead == found.image:
            return "the kubelet tries again by itself"
        if instead is None:
            return "pods that are made now start without a sidecar, so a restart helps"
        if self._allowed:
            return f"it is given {instead} in place"
        return f"pods that are made now get {instead}, so a restart helps"

"""Every injected pod of the cluster in memory, kept true by a watch of their label that brings metadata only."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .. import names
from ..kinds import PODS
from ..kube import Object, Only
from ..watch import Scope
from .facts import PodFacts, lean, read

ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
"""Of a finished pod (of a Job, say) nothing runs any more, and nothing can be changed; it may stay for days."""
INJECTED = Scope(PODS, only=Only(labels=f"{names.INJECTED}=true", fields=ALIVE, metadata=True), lean=lean)
"""What the index is filled by: never a watch over pods that are not ours. One that finishes is as good as deleted."""

Key = tuple[str, str]


class PodIndex:
    """One task writes it, on the controller's loop; reading never waits.

    Pods that are being deleted count until they are gone: their sidecars still drain, by the policy that they have.
    """

    def __init__(self, unlabelled: Callable[[str], bool] = lambda namespace: False) -> None:
        """`unlabelled` says of a namespace whether there may be pods with a sidecar but without our label."""
        self._unlabelled = unlabelled
        self._pods: dict[str, dict[str, PodFacts]] = {}
        self._named: dict[str, dict[Key, int]] = {}
        """By namespace, how many of its pods name which config."""
        self._demands: list[Callable[[str], None]] = []
        self._changes: list[Callable[[PodFacts], None]] = []
        self.synced = False
        """Whether a complete list has been taken over."""

    def namespaces(self) -> frozenset[str]:
        """Those in which there is an injected pod."""
        return frozenset(self._pods)

    def vacant(self, namespace: str) -> bool:
        """Whether it is known that there is no pod with a sidecar, injected by an earlier version neither."""
        return self.synced and namespace not in self._pods and not self._unlabelled(namespace)

    def named(self, namespace: str) -> frozenset[Key]:
        """Namespace and name of each TracingConfig that pods of `namespace` ask for by name."""
        return frozenset(self._named.get(namespace, ()))

    def of(self, namespace: str) -> Iterable[PodFacts]:
        """The injected pods of a namespace, as they are now."""
        return tuple(self._pods.get(namespace, {}).values())

    def all(self) -> Iterable[PodFacts]:
        """Those of every namespace, as they are now."""
        return tuple(pod for known in self._pods.values() for pod in known.values())

    def get(self, namespace: str, name: str) -> PodFacts | None:
        return self._pods.get(namespace, {}).get(name)

    def __len__(self) -> int:
        return sum(len(known) for known in self._pods.values())

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Also call this with a namespace when it gets its first injected pod, loses its last, or when `named` of it is
        another: what its policy is made from. Not for every pod.
        """
        self._demands.append(callback)

    def on_change(self, callback: Callable[[PodFacts], None]) -> None:
        """Also call this for every pod that is new, changed or (`deleted`, for the last time) gone."""
        self._changes.append(callback)

    def replace(self, manifests: Iterable[Object]) -> None:
        """Take over a complete list."""
        found = [read(manifest) for manifest in manifests]
        listed = {(pod.namespace, pod.name) for pod in found}
        for pod in self.all():
            if (pod.namespace, pod.name) not in listed:
                self._swap(pod.namespace, pod.name, None)
        for pod in found:
            self._swap(pod.namespace, pod.name, pod)
        self.synced = True

    def put(self, manifest: Object) -> None:
        """Take over one pod."""
        pod = read(manifest)
        self._swap(pod.namespace, pod.name, pod)

    def remove(self, manifest: Object) -> None:
        """Forget one pod; not one that has come since under its name."""
        gone = read(manifest)
        known = self.get(gone.namespace, gone.name)
        if known is not None and known.uid == gone.uid:
            self._swap(gone.namespace, gone.name, None)

    def _swap(self, namespace: str, name: str, new: PodFacts | None) -> None:
        old = self.get(namespace, name)
        if old == new:
            # Its status changed, which is not in its metadata; somebody may want to look.
            if new is not None:
                self._tell_change(new)
            return
        before = (namespace in self._pods, self.named(namespace))
        self._count(namespace, old, -1)
        self._count(namespace, new, +1)
        if new is not None:
            self._pods.setdefault(namespace, {})[name] = new
        else:
            self._pods[namespace].pop(name)
            if not self._pods[namespace]:
                del self._pods[namespace]
        if (namespace in self._pods, self.named(namespace)) != before:
            for demand in self._demands:
                demand(namespace)
        changed = new if new is not None else old
        assert changed is not None  # they differ
        self._tell_change(changed)

    def _tell_change(self, pod: PodFacts) -> None:
        for change in self._changes:
            change(pod)

    def _count(self, namespace: str, pod: PodFacts | None, by: int) -> None:
        if pod is None or pod.named is None:
            return
        counts = self._named.setdefault(namespace, {})
        counts[pod.named] = counts.get(pod.named, 0) + by
        if not counts[pod.named]:
            del counts[pod.named]
        if not counts:
            del self._named[namespace]

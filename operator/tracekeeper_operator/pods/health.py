"""How the sidecar of one pod fares: pure, from the pod as the API server shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import names
from .facts import LONGEST

UNPULLABLE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""What the kubelet says of a container whose image it cannot get."""
FAILING = UNPULLABLE | {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "ImageInspectError",
}
"""What it says of one that does not run, and will not without somebody's doing."""


@dataclass(frozen=True, slots=True)
class Health:
    """The sidecar's container."""

    image: str
    """As the pod asks for it."""
    path: str
    """Where it is in the pod, for a JSON patch: `/spec/initContainers/0`."""
    reason: str
    """Why it waits, in the kubelet's word; empty while it does not."""
    message: str
    running: bool
    """Whether it runs and has passed its startup probe."""
    shown: str
    """The image that its status is about: another name of the same one, it may be, or the one before an update."""
    container: str = ""
    """The ID of the container; another one after each restart."""

    @property
    def native(self) -> bool:
        """Whether it is where the injector puts it, and not among the application's containers."""
        return self.path.startswith("/spec/initContainers/")

    @property
    def unpullable(self) -> bool:
        return self.reason in UNPULLABLE

    @property
    def given_up(self) -> bool:
        """Whether the kubelet has tried more than once to get its image."""
        return self.unpullable and self.reason != "ErrImagePull"

    @property
    def failing(self) -> bool:
        return self.reason in FAILING


def health(pod: Mapping[str, Any]) -> Health | None:
    """None when the pod has no container of ours."""
    for group, statuses in (
        ("initContainers", "initContainerStatuses"),
        ("containers", "containerStatuses"),
    ):
        for index, container in enumerate(_list(pod, "spec", group)):
            if container.get("name") == names.SIDECAR:
                found = next((each for each in _list(pod, "status", statuses) if each.get("name") == names.SIDECAR), {})
                return _health(container, f"/spec/{group}/{index}", found)
    return None


def _health(container: Mapping[str, Any], path: str, status: Mapping[str, Any]) -> Health:
    state = status.get("state")
    state = state if isinstance(state, Mapping) else {}
    waiting = state.get("waiting")
    waiting = waiting if isinstance(waiting, Mapping) else {}
    return Health(
        image=_text(container, "image"),
        path=path,
        reason=_text(waiting, "reason"),
        message=_text(waiting, "message"),
        running="running" in state and status.get("started") is True,
        shown=_text(status, "image"),
        container=_text(status, "containerID"),
    )


def _text(body: Mapping[str, Any], key: str) -> str:
    """Never more than `LONGEST` characters: what a pod asks for may be a MiB long, and it is kept."""
    return str(body.get(key) or "")[:LONGEST]


def _list(pod: Mapping[str, Any], section: str, key: str) -> list[Mapping[str, Any]]:
    body = pod.get(section)
    found = body.get(key) if isinstance(body, Mapping) else None
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []

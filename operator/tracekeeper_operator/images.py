"""Which image the sidecar is given: pure, from what is known of images.

A sidecar whose image cannot be pulled keeps its application from starting, and nothing inside the pod can help that.
So the controller finds out (by a pod of its own, and by every pod that is injected), writes what it knows into a
ConfigMap, and the injectors watch that: what they answer with is in memory, whether or not the controller is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from . import names
from .kinds import CONFIG_MAPS
from .kube import Object, Only
from .watch import Scope

KEPT = 2
"""Images that are remembered as good."""
MOST_NAMESPACES = 500
"""With troubles of their own; the oldest give way. A ConfigMap holds 1 MiB."""
MAX_MESSAGE = 300
"""Characters of one trouble."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an image is not used."""

    message: str
    since: float
    """Unix time."""


@dataclass(frozen=True, slots=True)
class Images:
    """What is known of the sidecar's images. Never changed, only replaced."""

    good: tuple[str, ...] = ()
    """Those that have been seen to start, the newest first."""
    assumed: str = ""
    """One of which nothing could be found out: nothing speaks against it."""
    broken: Mapping[str, Trouble] = field(default_factory=dict)
    """Those that could not be pulled, or do not start."""
    refused: Mapping[str, Mapping[str, Trouble]] = field(default_factory=dict)
    """The same by namespace, of images that work elsewhere: there, a pull secret may be missing."""

    def choose(self, wanted: str, namespace: str) -> str | None:
        """The image for a pod there; None when there is none that can be expected to start.

        One that is new is not used before it is known to work, as long as there is an older one that is.
        """
        known = wanted in self.good or wanted == self.assumed
        order = (wanted, *self.good) if known else (*self.good, wanted)
        return next((image for image in order if self.trouble(image, namespace) is None), None)

    def trouble(self, image: str, namespace: str) -> Trouble | None:
        """What speaks against an image there."""
        return self.broken.get(image) or self.refused.get(namespace, {}).get(image)

    def proved(self, image: str) -> Images:
        """It has been seen to start."""
        if self.good[:1] == (image,) and image not in self.broken and self.assumed != image:
            return self
        return replace(
            self,
            good=(image, *(each for each in self.good if each != image))[:KEPT],
            assumed="" if self.assumed == image else self.assumed,
            broken=_without(self.broken, image),
        )

    def failed(self, image: str, message: str, now: float) -> Images:
        """It could not be pulled, or does not start, wherever it is tried."""
        since = self.broken[image].since if image in self.broken else now
        return replace(
            self,
            broken={**self.broken, image: Trouble(message[:MAX_MESSAGE], since)},
            assumed="" if self.assumed == image else self.assumed,
        )

    def unknown(self, image: str) -> Images:
        """Nothing could be found out about it."""
        return self if image in self.good else replace(self, assumed=image)

    def refuse(self, namespace: str, image: str, message: str, now: float) -> Images:
        """It could not be pulled in a pod of that namespace."""
        there = self.refused.get(namespace, {})
        if image in there:
            return self
        refused = {**self.refused, namespace: {**there, image: Trouble(message[:MAX_MESSAGE], now)}}
        if len(refused) > MOST_NAMESPACES:
            oldest = min(refused, key=lambda name: max(trouble.since for trouble in refused[name].values()))
            del refused[oldest]
        return replace(self, refused=refused)

    def forget(self, wanted: str, before: float, now: float = inf) -> Images:
        """Without what is of no more use: troubles of images that nobody would use, and those of namespaces that are
        from before then, which are to be tried again; or from after `now`, by a clock that was ahead.
        """
        useful = {wanted, *self.good}
        refused = {
            namespace: kept
            for namespace, there in self.refused.items()
            if (
                kept := {
                    image: each for image, each in there.items() if image in useful and before <= each.since <= now
                }
            )
        }
        broken = {image: each for image, each in self.broken.items() if image in useful}
        if (refused, broken) == (self.refused, self.broken):
            return self
        return replace(self, refused=refused, broken=broken)

    def to_json(self) -> str:
        body = {
            "good": list(self.good),
            "assumed": self.assumed,
            "broken": {image: _body(each) for image, each in sorted(self.broken.items())},
            "refused": {
                namespace: {image: _body(each) for image, each in sorted(there.items())}
                for namespace, there in sorted(self.refused.items())
            },
        }
        return json.dumps(body, indent=1)


def from_json(text: str) -> Images:
    """What cannot be read counts as not known: somebody may have edited it."""
    try:
        body = json.loads(text)
    except ValueError:
        return Images()
    if not isinstance(body, Mapping):
        return Images()
    good = body.get("good")
    return Images(
        good=tuple(each for each in good if isinstance(each, str) and each)[:KEPT] if isinstance(good, list) else (),
        assumed=str(body.get("assumed") or ""),
        broken=_troubles(body.get("broken")),
        refused={str(name): found for name, there in _items(body.get("refused")) if (found := _troubles(there))},
    )


def scope(namespace: str) -> Scope:
    """What an injector in that namespace watches."""
    return Scope(CONFIG_MAPS, namespace, Only(fields=f"metadata.name={names.IMAGES_CONFIG_MAP}"))


class ImageMemory:
    """What the ConfigMap says; one task writes it, reading never waits."""

    def __init__(self) -> None:
        self.images = Images()
        self.synced = False
        """Whether the ConfigMap, or that there is none, has been heard of."""

    def replace(self, manifests: Iterable[Object]) -> None:
        """Take over a complete list, of at most one."""
        self.images = Images()
        for manifest in manifests:
            self.put(manifest)
        self.synced = True

    def put(self, manifest: Object) -> None:
        self.images = from_json(read(manifest))

    def remove(self, manifest: Object) -> None:
        self.images = Images()


def read(manifest: Mapping[str, Any]) -> str:
    """The text in the ConfigMap; empty if there is none."""
    data = manifest.get("data")
    return str(data.get(names.IMAGES_KEY) or "") if isinstance(data, Mapping) else ""


def manifest(namespace: str, images: Images) -> Object:
    """The ConfigMap to apply."""
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": names.IMAGES_CONFIG_MAP, "namespace": namespace},
        "data": {names.IMAGES_KEY: images.to_json()},
    }


def _body(trouble: Trouble) -> dict[str, Any]:
    return {"message": trouble.message, "since": int(trouble.since)}


def _troubles(value: Any) -> dict[str, Trouble]:
    found: dict[str, Trouble] = {}
    for image, body in _items(value):
        if isinstance(body, Mapping):
            since = body.get("since")
            found[str(image)] = Trouble(str(body.get("message", "")), float(since) if isinstance(since, int) else 0.0)
    return found


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def _without(troubles: Mapping[str, Trouble], image: str) -> Mapping[str, Trouble]:
    return {key: each for key, each in troubles.items() if key != image}

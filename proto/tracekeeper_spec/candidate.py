"""A new version of a policy entry that only some pods try, beside the one that is known to work.

In a policy document it is the member `candidate` of an entry, and `halted` is what is left of one that did not do:

    "candidate": {"spec": {…}, "generation": 4, "sources": ["shop/agents@4"], "origins": {…},
                  "digest": "sha256:…",        over what is tried
                  "below": 429496730,          pods whose place is below this try it; of 2^32
                  "also": "7c9e…",             UID of a pod that tries it whatever its place
                  "started": 1800000000,       Unix time; `observed` is from when one of them ran it
                  "observed": 1800000030,
                  "troubled": ["tempo"],       backends that failed before it began
                  "refused": ["0a1b…"]}        what sidecars refused before it began, as hashes
    "halted": {"generation": 4, "sources": […], "digest": "sha256:…", "at": …, "reason": "…", "message": "…"}

Sidecars that know nothing of this go on with the entry itself. So does one that cannot read the member.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tracekeeper_spec import members

PLACES = 2**32
"""Every pod has a place from 0 up to this, for each candidate another one."""
AT_ONCE = ("suspend", "selector", "sidecar")
"""What is never tried by some pods first: the kill switch, who gets the entry, and what is read at a pod's start."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What some pods get in place of the entry that it belongs to."""

    spec: Mapping[str, Any]
    """As that of an entry, whole."""
    generation: int
    sources: tuple[str, ...]
    origins: Mapping[str, str]
    digest: str
    """Of what is tried: see `digest_of`."""
    below: int
    started: int
    """Unix time."""
    observed: int = 0
    """Unix time from which on one of those pods has run it; 0 before."""
    troubled: tuple[str, ...] = field(default=())
    """Names of backends that failed in some pod when it began: they say nothing against it."""
    also: str = ""
    """UID of one pod that tries it whatever its place, where nobody else can; empty for none."""
    refused: tuple[str, ...] = field(default=())
    """Hashes of what sidecars said of policies that they refused when it began."""

    def takes(self, uid: str) -> bool:
        """Whether the pod with that UID is one of those that try it; never for one that does not know its own."""
        return bool(uid) and (uid == self.also or place_of(self.digest, uid) < self.below)

    def written(self) -> dict[str, Any]:
        """The member of the document."""
        found: dict[str, Any] = {
            "spec": self.spec,
            "generation": self.generation,
            "sources": list(self.sources),
            "origins": self.origins,
            "digest": self.digest,
            "below": self.below,
            "started": self.started,
        }
        optional = {
            "observed": self.observed,
            "troubled": list(self.troubled),
            "also": self.also,
            "refused": list(self.refused),
        }
        return found | {key: value for key, value in optional.items() if value}


@dataclass(frozen=True, slots=True)
class Halted:
    """A candidate that was taken back. It is not tried again before one of its sources has changed."""

    generation: int
    sources: tuple[str, ...]
    digest: str
    at: int
    """Unix time."""
    reason: str
    message: str

    def written(self) -> dict[str, Any]:
        """The member of the document."""
        return {
            "generation": self.generation,
            "sources": list(self.sources),
            "digest": self.digest,
            "at": self.at,
            "reason": self.reason,
            "message": self.message,
        }


def tried(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Of an entry's spec, what is tried by some pods first."""
    return {key: value for key, value in spec.items() if key not in AT_ONCE}


def digest_of(spec: Mapping[str, Any]) -> str:
    """`sha256:…` over what of an entry's spec is tried."""
    text = json.dumps(tried(spec), sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def place_of(digest: str, uid: str) -> int:
    """A pod's place among all, from 0 to PLACES - 1, as good as by lot and always the same for that candidate."""
    return int.from_bytes(hashlib.sha256(f"{digest}/{uid}".encode()).digest()[:4])


def read_candidate(obj: object) -> Candidate | None:
    """None for none, and for one that cannot be read."""
    if not isinstance(obj, dict):
        return None
    try:
        return Candidate(
            members.mapping(obj.get("spec"), "spec"),
            members.integer(obj, "generation", ""),
            tuple(members.texts(members.list_of(obj, "sources", ""), "sources")),
            members.text_map(obj, "origins", ""),
            members.text(obj, "digest", ""),
            members.integer(obj, "below", ""),
            members.integer(obj, "started", ""),
            members.integer({"observed": 0, **obj}, "observed", ""),
            tuple(members.texts(members.list_of(obj, "troubled", ""), "troubled")),
            also=members.text({"also": "", **obj}, "also", ""),
            refused=tuple(members.texts(members.list_of(obj, "refused", ""), "refused")),
        )
    except members.PolicyFormatError:
        return None


def read_halted(obj: object) -> Halted | None:
    """None for none, and for one that cannot be read."""
    if not isinstance(obj, dict):
        return None
    try:
        return Halted(
            members.integer(obj, "generation", ""),
            tuple(members.texts(members.list_of(obj, "sources", ""), "sources")),
            members.text(obj, "digest", ""),
            members.integer(obj, "at", ""),
            members.text(obj, "reason", ""),
            members.text(obj, "message", ""),
        )
    except members.PolicyFormatError:
        return None

"""One injected pod, as somebody sees it who tries a new policy: see `rollout`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PodSeen:
    """One injected pod, and what its sidecar says."""

    uid: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    attached: bool = False
    able: bool = False
    """Whether its sidecar knows candidates."""
    digest: str = ""
    """Of what it runs: the candidate's, if it tries one."""
    refused: str = ""
    """Why a newer policy is not in force."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Backends that take nothing from it, and what it says of them."""
    failing_since: Mapping[str, float] = field(default_factory=dict)
    """Unix time since when each of them has, as far as it was seen."""
    delivered_at: Mapping[str, float] = field(default_factory=dict)
    """By name of a delivery entry, Unix time after which it has delivered: the latest that is known."""
    dropped_at: float | None = None
    """Unix time at which it told last of spans that it had dropped since."""
    crashed_at: float | None = None
    """Unix time at which its sidecar ended last by a fault; `crash` says how. Only of pods that were read."""
    looked: bool = False
    """Whether it was read."""
    crash: str = ""

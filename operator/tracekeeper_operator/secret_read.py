"""What reading one Secret gave: of all that is in it, only what somebody refers to. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tracekeeper_spec.policy import MAX_BYTES

from .errors import KubeError
from .expiry import Life, life

MOST = 2 * MAX_BYTES
"""Bytes of values that are read for one namespace: twice what there is room for in a policy, since what is held on to
is read beside what is wanted. With more than that, nothing can be published anyway."""


@dataclass(frozen=True, slots=True)
class SecretRead:
    """It, or why there is none."""

    data: Mapping[str, bytes] | None
    """None when it could not be read."""
    absent: bool = False
    """The API server says that there is none."""
    forbidden: bool = False
    """The operator may not read it."""
    problem: str = ""
    error: KubeError | None = None
    """Why it could not be read; None when the API server answered, or was not asked."""
    lives: Mapping[str, Life] = field(default_factory=dict)
    """Of the certificates, by key; known once the values are not needed any more."""

    @property
    def size(self) -> int:
        return sum(map(len, (self.data or {}).values()))

    def without_values(self) -> SecretRead:
        """What statuses are told from: the values are large, and nobody's business."""
        if self.data is None:
            return self
        found = {key: life(value) for key, value in self.data.items()}
        lives = {key: known for key, known in found.items() if known is not None}
        return replace(self, data=dict.fromkeys(self.data, b""), lives=lives)


TOO_MUCH = SecretRead(
    None, problem=f"it was not read, because the Secrets of this policy have more than {MOST} bytes; use smaller ones"
)


def read_secret(secret: Mapping[str, Any], keys: Collection[str]) -> SecretRead:
    """A Secret as the API server sends it; of its values only those under `keys`."""
    data = secret.get("data")
    values: dict[str, bytes] = {}
    for key, value in (data if isinstance(data, Mapping) else {}).items():
        if key not in keys:
            continue
        try:
            values[str(key)] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            continue
    return SecretRead(values)

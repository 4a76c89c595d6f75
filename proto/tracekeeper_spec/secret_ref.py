"""How a config refers to what is kept in a Secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecretKeyRef:
    """One key of a Secret in the TracingConfig's namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A value that is kept in a Secret."""

    secret_key_ref: SecretKeyRef

"""What of spans nobody may read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.secret_ref import SecretSource


class Detector(StrEnum):
    """A shape that values are looked for, wherever text is."""

    EMAIL = "Email"
    PHONE = "Phone"
    CREDIT_CARD = "CreditCard"
    SSN = "SSN"
    IBAN = "IBAN"
    IP_ADDRESS = "IPAddress"
    JWT = "JWT"
    SECRET = "Secret"


class Action(StrEnum):
    """What becomes of what is found."""

    MASK = "Mask"
    HASH = "Hash"
    DROP = "Drop"


class MessageContent(StrEnum):
    """What becomes of prompts and answers as a whole."""

    KEEP = "Keep"
    REDACT = "Redact"
    DROP = "Drop"


@dataclass(frozen=True, slots=True)
class OwnPattern:
    """A pattern of the user's own: RE2, case counts."""

    name: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Redact:
    """As `processors[].redact` says."""

    key_patterns: tuple[str, ...]
    """RE2, any case, anywhere in the key."""
    except_keys: tuple[str, ...]
    """Keys that their name says nothing of."""
    detectors: tuple[Detector, ...]
    patterns: tuple[OwnPattern, ...]
    names: tuple[str, ...]
    """Words, in any case."""
    message_content: MessageContent
    action: Action
    hash_key: SecretSource | None = None

"""What both sides look for in the redaction jobs: ten kinds of values, and seven of keys. All examples are made up.

The Collector gets the patterns as they stand, in RE2's language. Ours has detectors of the same ten kinds, which look
closer: at a card's check digits, for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OURS, THEIRS = b"[REDACTED]", b"****"
"""What stands where a value was."""
DETECTORS = ("Email", "CreditCard", "Phone", "IPAddress", "SSN", "JWT", "Secret", "IBAN")
"""Ours, of the same kinds."""
KEYS = ("email", "password", "ssn", "credit_card", "phone", "address", "birthday")
"""Patterns: an attribute is masked whose key has one of these in it."""
PADDED = 130
"""Bytes of every value that has something to be masked in it: all spans must have one size."""


PRICED, REPEATED, DETECTED = (
    b"\x0a" + bytes([len(key)]) + key
    for key in (b"gen_ai.usage.cost", b"tracekeeper.usage.repeated", b"tracekeeper.detected")
)
"""The keys of the attributes that say so, as they are serialised."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value."""

    name: str
    pattern: str
    example: str
    """Holds no example of another kind."""


KINDS = (
    Kind("e-mail", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", "anna.lindqvist@posteo.example.net"),
    Kind("card", r"\b(?:\d[ -]?){12,18}\d\b", "4111 1111 1111 1111"),
    Kind("phone", r"(?:\+\d{1,3}[ .-]?)?\(?\b\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}\b", "+1 415 555 0132"),
    Kind("IP address", r"\b(?:\d{1,3}\.){3}\d{1,3}\b", "198.51.100.23"),
    Kind("SSN", r"\b\d{3}-\d{2}-\d{4}\b", "536-22-8726"),
    Kind(
        "JWT",
        r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_w",
    ),
    Kind("OpenAI key", r"\bsk-[A-Za-z0-9_-]{20,}", "sk-" + "proj-" + "a1B2c3D4" * 5),
    Kind("AWS key", r"\bAKIA[0-9A-Z]{16}\b", "AKIA" + "Q7RZ2MX4LD9TW3KB"),
    Kind("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36}\b", "ghp_" + "x9Yz8Wv7Ut6S" * 3),
    Kind("IBAN", r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b", "DE89370400440532013000"),
)


def value(number: int) -> str:
    """Text with an example of one kind in it; span by span another kind."""
    text = f"ask {KINDS[number % len(KINDS)].example} and tell me what comes of it, please"
    return text.ljust(PADDED, ".")


def theirs() -> dict[str, Any]:
    """The settings of the Collector's `redaction` processor, which is spared from saying what it has done."""
    return {
        "allow_all_keys": True,
        "blocked_key_patterns": list(KEYS),
        "blocked_values": [kind.pattern for kind in KINDS],
        "summary": "silent",
    }


class Masks:
    """What a backend finds in the bodies that it gets."""

    def __init__(self) -> None:
        self._masked = self._bare = self._priced = self._detected = 0

    def add(self, body: bytes) -> None:
        """Search one body."""
        self._masked += body.count(OURS) + body.count(THEIRS)
        self._bare += sum(body.count(kind.example.encode()) for kind in KINDS)
        self._priced += body.count(PRICED) + body.count(REPEATED)
        self._detected += body.count(DETECTED)

    def counts(self) -> dict[str, int]:
        """Masks of either side, values that should have been masked, prices, and troubles found.

        A span whose usage repeats that of spans below it has no price, and says why: that counts as one.
        """
        found = {"masked": self._masked, "bare": self._bare}
        return found | {"priced": self._priced, "detected": self._detected}

"""What a status means: one table for each kind of backend. Pure.

    OTLP over HTTP
    2xx                                             taken
    400, 422                                        the spans are wrong
    413                                             the request is too large
    429, 503 with Retry-After                       the backend asks for a pause
    408, 502, 503, 504, and `retry.statusCodes`     failed for the moment
    401, 403, 407                                   our credentials are at fault, not the spans
    3xx, 404, 405, 406, 411, 415, 421, 426, 431     our address or protocol is at fault, not the spans
    the rest (500, 501, 409, …)                     failed, and the request itself may be why

429, 502, 503 and 504 are OTLP 1.11's table. OTLP lets a client drop at the last three lines; we hold what we
acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class Meaning(Enum):
    """What a status says about the request that it answers."""

    TAKEN = auto()
    WRONG = auto()
    TOO_LARGE = auto()
    PAUSE = auto()
    TRANSIENT = auto()
    CREDENTIALS = auto()
    ADDRESS = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """Statuses by what they mean; those in no set are FAILED, or TAKEN or ADDRESS by their hundreds."""

    wrong: frozenset[int]
    too_large: frozenset[int]
    pause: frozenset[int]
    pause_if_told: frozenset[int]
    """These ask for a pause when they say how long."""
    transient: frozenset[int]
    credentials: frozenset[int]
    address: frozenset[int]
    extra: frozenset[int] = frozenset()
    """Transient too, whatever the other sets say: the config's own."""

    def with_extra(self, statuses: Iterable[int]) -> ErrorTable:
        """This table, with the statuses that a config wants retried."""
        return ErrorTable(
            self.wrong,
            self.too_large,
            self.pause,
            self.pause_if_told,
            self.transient,
            self.credentials,
            self.address,
            frozenset(statuses),
        )

    def meaning(self, status: int, told: bool) -> Meaning:
        """Of one answer; `told` says whether it names a time to come back."""
        if 200 <= status < 300:
            return Meaning.TAKEN
        if status in self.too_large:
            return Meaning.TOO_LARGE
        if status in self.pause or (told and status in self.pause_if_told):
            return Meaning.PAUSE
        if status in self.extra or status in self.transient:
            return Meaning.TRANSIENT
        if status in self.wrong:
            return Meaning.WRONG
        if status in self.credentials:
            return Meaning.CREDENTIALS
        return Meaning.ADDRESS if status in self.address or 300 <= status < 400 else Meaning.FAILED


OTLP_HTTP = ErrorTable(
    wrong=frozenset({400, 422}),
    too_large=frozenset({413}),
    pause=frozenset({429}),
    pause_if_told=frozenset({503}),
    transient=frozenset({408, 502, 503, 504}),
    credentials=frozenset({401, 403, 407}),
    address=frozenset({404, 405, 406, 411, 415, 421, 426, 431}),
)

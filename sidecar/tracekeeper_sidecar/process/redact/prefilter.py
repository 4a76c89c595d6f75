"""One pass of Hyperscan over a request's raw bytes: where may something be that must be hidden?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from tracekeeper_sidecar.process.redact import prefilter_shapes
from tracekeeper_sidecar.process.redact.prefilter_shapes import NUMBERS
from tracekeeper_sidecar.process.redact.superset import superset
from tracekeeper_sidecar.wire.addresses import mail_ends
from tracekeeper_sidecar.wire.numbers import number_ends
from tracekeeper_sidecar.wire.redact import HIT_BITS
from tracekeeper_spec.redact import Detector, Redact

logger = logging.getLogger(__name__)

KEY: Final = "\0key"
"""A key is what it says it is, somewhere: all keys must be judged."""
JSON_KEY: Final = "\0JSON key"
NAMES: Final = "\0names"
TRAPPED: Final = "\0trap"
Aim = Detector | str
"""What a pattern of the pass is there for: a detector, one of those above, or the name of a pattern of the user's
own."""

_MOST_HITS: Final = 4096
_BYTES_PER_HIT: Final = 64
_MOST_EVER: Final = 1 << 18
_MOST_BYTES: Final = 6_000
"""In one pattern of several: Hyperscan takes 16,000."""
_SPACE: Final = rb"(?:[ \t-\r]|\\+(?:[nrtf]|u00(?:0[9a-dA-D]|20)))*"
"""As it may stand between a key and its colon, escapes of JSON in JSON included."""
_END_OF_KEY: Final = (
    rb"(?:[^\"]*\""
    # Quotes in the key itself, which have more backslashes than those around it: in JSON, in JSON in that, and below.
    rb"|(?:[^\"]*\\\")+(?:[^\"]*[^\\\"])?(?:\\{2})*\""
    rb"|(?:[^\"]*\\{3}\")+(?:[^\"]*[^\\\"])?(?:\\{4})*\\\""
    rb"|(?:[^\"]*\\{7}\")+[^\"]*\\{3}\""
    # As Python writes it.
    rb"|[^'\"]*(?:'|\\+u0027))" + _SPACE + rb":"
)


class _Pattern(NamedTuple):
    expression: bytes
    aims: frozenset[Aim]
    any_case: bool = False
    once: bool = False


class Suspicion(NamedTuple):
    """What the pass says of a request."""

    hits: list[int]
    """Where each ends, times 1024, plus the pattern; ascending."""
    by_key: bool
    """All keys must be judged."""
    every: bool
    """All texts must be looked at, for everything."""


NOTHING: Final = Suspicion([], False, False)
EVERYTHING: Final = Suspicion([], True, True)


class Prefilter:
    """For one thread at a time. Where Hyperscan does not run, everything is suspicious: the same verdicts, later."""

    def __init__(self, wish: Redact) -> None:
        self.problem = ""
        """Why everything is suspicious; empty: it is not."""
        patterns = _patterns(wish)
        self.aims = [pattern.aims for pattern in patterns]
        """By the numbers of the patterns."""
        self._mail = _first(patterns, frozenset((Detector.EMAIL,)))
        self._numbers = _first(patterns, NUMBERS)
        self._addresses = _first(patterns, frozenset((Detector.IP_ADDRESS,)))
        self._keys = frozenset(at for at, pattern in enumerate(patterns) if KEY in pattern.aims)
        self._hits: list[int] = []
        self._most = 0
        self._by_key = False
        self._database: Any = None
        unturned = [*self._unturned(wish)]
        if unturned:
            self.problem = (
                f"the pass over raw bytes cannot look for {', '.join(unturned)}: every text is looked at, which is slow"
            )
            return
        try:
            import hyperscan  # noqa: PLC0415 # It takes 5 MB, and is not there on every CPU.

            self._terminated = hyperscan.ScanTerminated
            self._database = _compile(hyperscan, patterns)
        except Exception as error:
            self.problem = f"Hyperscan does not run here ({error}): every text is looked at, which is slow"

    @staticmethod
    def _unturned(wish: Redact) -> Sequence[str]:
        found = [each.name for each in wish.patterns if superset(each.pattern) is None]
        if any(superset(pattern, any_case=True) is None for pattern in wish.key_patterns):
            found.append("keyPatterns")
        return found

    def suspect(self, body: bytes) -> Suspicion:
        """Where something may be in the serialised request."""
        if self._database is None:
            return EVERYTHING
        self._hits = hits = []
        self._by_key = False
        # Where there are so many, it is not faster to know which.
        self._most = most = min(_MOST_HITS + len(body) // _BYTES_PER_HIT, _MOST_EVER)
        try:
            self._database.scan(body, self._hit)
        except self._terminated:
            return EVERYTHING
        if self._mail >= 0 and (ends := mail_ends(body, most)):
            hits += [end << HIT_BITS | self._mail for end in ends]
        if self._numbers >= 0 or self._addresses >= 0:
            numbers, addresses = number_ends(body, most)
            if numbers and self._numbers >= 0:
                hits += [end << HIT_BITS | self._numbers for end in numbers]
            if addresses and self._addresses >= 0:
                hits += [end << HIT_BITS | self._addresses for end in addresses]
        if not hits:
            return Suspicion(hits, True, False) if self._by_key else NOTHING
        if len(hits) > most:
            return EVERYTHING
        hits.sort()
        return Suspicion(hits, self._by_key, False)

    def _hit(self, pattern: int, begin: int, end: int, flags: int, context: object) -> bool | None:
        if pattern in self._keys:
            self._by_key = True
            return None
        self._hits.append(end << HIT_BITS | pattern)
        return True if len(self._hits) > self._most else None


def _first(patterns: list[_Pattern], aims: frozenset[Aim]) -> int:
    """The number of the first pattern that is there for one of them; -1: nobody wants any."""
    return next((number for number, pattern in enumerate(patterns) if pattern.aims & aims), -1)


def _patterns(wish: Redact) -> list[_Pattern]:
    found = []
    for number, shape in enumerate(prefilter_shapes.SHAPES):
        wanted: frozenset[Aim] = frozenset(wish.detectors).intersection(shape.detectors)
        if number == prefilter_shapes.TRAP:
            wanted = frozenset((TRAPPED,))
        if wanted:
            found.append(_Pattern(shape.pattern, wanted, shape.any_case))
    keys = [turned for pattern in wish.key_patterns if (turned := superset(pattern, any_case=True)) is not None]
    for either in _joined(keys):
        found.append(_Pattern(either, frozenset((KEY,)), once=True))
        found.append(_Pattern(either + _END_OF_KEY, frozenset((JSON_KEY,))))
    found += [_Pattern(either, frozenset((NAMES,))) for either in _joined([_name(name) for name in wish.names])]
    for own in wish.patterns:
        turned = superset(own.pattern)
        if turned is not None:
            found.append(_Pattern(turned, frozenset((own.name,))))
    return found


def _joined(alternatives: list[bytes]) -> Iterator[bytes]:
    """Patterns that match what one of these does: as few as Hyperscan takes."""
    chunk: list[bytes] = []
    for each in alternatives:
        if chunk and sum(map(len, chunk)) + len(each) > _MOST_BYTES:
            yield b"(?:" + b"|".join(chunk) + b")"
            chunk = []
        chunk.append(each)
    if chunk:
        yield b"(?:" + b"|".join(chunk) + b")"


def name_pattern(name: str) -> str:
    """The words of a name in RE2, with any space between them."""
    import re2  # noqa: PLC0415

    return r"\s+".join(re2.escape(word) for word in name.split())


def _name(name: str) -> bytes:
    turned = superset(name_pattern(name), any_case=True)
    assert turned is not None  # Letters and spaces can be turned.
    return turned


def _compile(hyperscan: Any, patterns: list[_Pattern]) -> Any:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = [
        hyperscan.HS_FLAG_DOTALL
        | (hyperscan.HS_FLAG_CASELESS if pattern.any_case else 0)
        | (hyperscan.HS_FLAG_SINGLEMATCH if pattern.once else 0)
        for pattern in patterns
    ]
    database.compile(
        expressions=[pattern.expression for pattern in patterns],
        ids=list(range(len(patterns))),
        elements=len(patterns),
        flags=flags,
    )
    return database

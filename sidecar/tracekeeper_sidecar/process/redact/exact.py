"""What the detectors find in one text: exact, and in linear time on any text. In bytes of UTF-8.

Every finding of a detector lies where one of its shapes (`prefilter_shapes`) matches; a property test holds the two
against each other. RE2 has no look-around: what must not stand before is matched with it, outside the group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import re2

from tracekeeper_sidecar.process.redact import checks, prefilter_shapes
from tracekeeper_spec.redact import Detector

Found = Iterator[tuple[int, int]]
"""Where each finding begins and ends, ascending, disjoint."""


def compiled(pattern: bytes) -> Any:
    """For bytes as they are, where a byte is a character."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return re2.compile(pattern, options)


_WIDE: Final = prefilter_shapes.WIDE
_GAP: Final = rb"(?:[ ./()-]{0,2}|" + _WIDE + rb")"
_DASH: Final = rb"(?:[ -]|" + _WIDE + rb")"
_ALONE: Final = rb"(?:^|[^0-9A-Za-z])"
_RUN: Final = compiled(prefilter_shapes.DIGITS)
_SPLIT_RUN: Final = compiled(prefilter_shapes.SPLIT)
_CALLED: Final = (
    rb"(?i:tel(?:e(?:phone|fon[eo]?)|[\xc3e]\xa9?fono?)?|(?:tele)?phones?|mobile?|cell(?:ular)?|fax|what[s] "
    rb"?app|handy|sms|call"
    rb"|rufnummer|portable|m\xc3\xb3vil|celular)"
)


NEVER: Final = -1


class _Pattern(NamedTuple):
    """One way in which a detector finds: group 1 is the finding, if `holds` says so of it. Only where the text has
    `needs` in it."""

    search: Any
    holds: Callable[[bytes, int, int], int]
    """The text, and where the finding may begin and end; says where it ends, or 0 (then what begins behind is tried),
    or NEVER (then what ends behind is)."""
    needs: bytes


def _always(text: bytes, begin: int, end: int) -> int:
    return end


def _followed(text: bytes, end: int, by: bytes) -> bool:
    return text[end : end + 1] != b"" and text[end] in by


_NUMERALS: Final = b"0123456789"
_LEAST_CARD, _MOST_CARD = 13, 19
_LAST_GROUP: Final = compiled(rb"[^0-9]+[0-9]+$")
_WORD: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"


def _run(text: bytes, begin: int, end: int) -> bool:
    part = text[begin:end]
    return _RUN.search(part) is not None or _SPLIT_RUN.search(part) is not None


def _groups(text: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int]]:
    """What lies in [begin, end), and shorter by a group of digits, and by two: other numbers may stand behind."""
    part = text[begin:end]
    for _ in range(6):
        if not _followed(text, begin + len(part), _NUMERALS):
            yield part, begin + len(part)
        last = _LAST_GROUP.search(part)
        if last is None:
            return
        part = part[: last.start()]


def _international(text: bytes, begin: int, end: int) -> int:
    for part, stop in _groups(text, begin, end):
        found = checks.digits_of(part)
        if checks.has_code(found.removeprefix("00")) and _run(text, begin, stop):
            return stop
    return 0


def _national(text: bytes, begin: int, end: int) -> int:
    for part, stop in _groups(text, begin, end):
        if not 9 <= len(checks.digits_of(part)) <= 11 or part.isdigit() or not _run(text, begin, stop):
            return 0
        if checks.is_date(part):
            return 0
        joined = _followed(text, stop, b"-./:") and _followed(text, stop + 1, _NUMERALS)
        if not joined and not _followed(text, stop, _WORD):
            return stop
    return 0


def _american(text: bytes, begin: int, end: int) -> int:
    if _followed(text, end, _WORD) or (_followed(text, end, b"-.") and _followed(text, end + 1, _NUMERALS)):
        return 0
    return end


def _told(text: bytes, begin: int, end: int) -> int:
    for _, stop in _groups(text, begin, end):
        return stop if _run(text, begin, stop) else 0
    return 0


def _card(text: bytes, begin: int, end: int) -> int:
    """The longest card among the groups of digits that begin there."""
    part = text[begin:end]
    found = checks.digits_of(part)
    while len(found) >= _LEAST_CARD:
        if len(found) <= _MOST_CARD and not _followed(text, end, _NUMERALS) and checks.is_card(found):
            return end
        last = _LAST_GROUP.search(part)
        if last is None:
            return 0
        part = part[: last.start()]
        end = begin + len(part)
        found = checks.digits_of(part)
    return 0


def _social(text: bytes, begin: int, end: int) -> int:
    if _followed(text, end, _WORD) or (_followed(text, end, b"-") and _followed(text, end + 1, _NUMERALS)):
        return 0
    return end if checks.is_ssn(checks.digits_of(text[begin:end])) else 0


def _iban(text: bytes, begin: int, end: int) -> int:
    size = checks.iban_size(text[begin:end])
    if size == 0 or _followed(text, begin + size, _WORD) or not _run(text, begin, begin + size):
        return 0
    return begin + size


_VERSIONED: Final = compiled(
    rb"(?i)(?:\b(?:ver|versions?|releases?|firmware|build|sdk|driver|revision|rev|section|chapter|clause|upgraded? to"
    rb"|chrome|chromium|edge?|opr|opera|firefox|safari|electron|webkit)[ :=/v(\"]{0,4}|[=~<>]=|\xc2\xa7 ?)$"
)


def _four(text: bytes, begin: int, end: int) -> int:
    if _followed(text, end, _WORD) or (_followed(text, end, b".-+") and _followed(text, end + 1, _WORD)):
        return 0
    if text.startswith((b"127.", b"255.", b"0.0.0.0"), begin):
        return 0
    return end if _VERSIONED.search(text[max(0, begin - 24) : begin]) is None else 0


def _six(text: bytes, begin: int, end: int) -> int:
    if _followed(text, end, _WORD):
        return 0
    found = text[begin:end].decode()
    for shorter in (found, found.rstrip(".:"), found.removesuffix(":")):
        if checks.is_address(shorter):
            return begin + len(shorter)
    return 0


_NO_DOMAIN: Final = frozenset(b"png jpg jpeg gif svg webp css js ts tsx jsx py json md html txt yaml yml".split())


def _mail(text: bytes, begin: int, end: int) -> int:
    part = text[begin:end]
    if part.startswith(b"git@") or part.rpartition(b".")[2].lower() in _NO_DOMAIN:
        return NEVER
    return end


def _bearer(text: bytes, begin: int, end: int) -> int:
    part = text[begin:end]
    return end if any(byte in _NUMERALS for byte in part) else NEVER


_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_MAIL_NAME: Final = (  # Not the quote that it stands in.
    rb"(?:[0-9A-Za-z._%+\x80-\xff-][0-9A-Za-z._%+'\x80-\xff-]*)?[0-9A-Za-z._%+'\x80-\xbf-]"
)
_LABEL: Final = rb"[0-9A-Za-z\x80-\xff](?:[0-9A-Za-z\x80-\xff-]*[0-9A-Za-z\x80-\xff])?\."
_FIRST_LABEL: Final = rb"[0-9A-Za-z\xc2-\xf4](?:[0-9A-Za-z\x80-\xff-]*[0-9A-Za-z\x80-\xff])?\."
_KEYS: Final = (
    rb"sk-(?:ant|proj|svcacct|admin|or|lf|None)-[0-9A-Za-z_-]{16,}|sk-[0-9A-Za-z]{20,}|gh[oprsu]_[0-9A-Za-z]{36,}"
    rb"|github_pat_[0-9A-Za-z_]{22,}|glpat-[0-9A-Za-z_-]{20,}|A(?:KI|SI|BI|CC)A[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"
    rb"|ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{20,}|xox[abeoprs]-[0-9A-Za-z-]{10,}|xapp-[0-9]-[0-9A-Za-z-]{10,}"
    rb"|hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z/_-]{8,}|[rs]k_(?:live|test)_[0-9A-Za-z]{16,}"
    rb"|whsec_[0-9A-Za-z+/=]{24,}|hf_[0-9A-Za-z]{30,}|SG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}|dop_v1_[0-9a-f]{64}"
    rb"|dapi[0-9a-f]{32}|gsk_[0-9A-Za-z]{40,}|xai-[0-9A-Za-z]{40,}|r8_[0-9A-Za-z]{37}|pplx-[0-9A-Za-z]{40,}"
    rb"|lsv2_[a-z]{2}_[0-9a-f_]{32,}"
)

_DECLARED: Final[dict[Detector, tuple[tuple[bytes, Callable[[bytes, int, int], int], bytes], ...]]] = {
    Detector.EMAIL: (
        (
            rb"("
            + _MAIL_NAME
            + rb"(?:@|%40)(?:"
            + _LABEL
            + rb")+(?:[A-Za-z]{2,24}|xn--[0-9A-Za-z-]{1,59}|[\x80-\xff]{4,}))",
            _mail,
            b"",
        ),
    ),
    Detector.PHONE: (
        (rb"(?:^|[^0-9A-Za-z+])(\+ ?\(?[1-9](?:" + _GAP + rb"[0-9]){8,14})", _international, b"+"),
        (rb"(?:^|[^0-9A-Za-z.,])(00[ -]?[1-9](?:" + _GAP + rb"[0-9]){8,14})", _international, b"00"),
        (
            rb"(?:^|[^0-9A-Za-z.+-])((?:1[ .-])?(?:\([2-9][0-9]{2}\)[ .-]?|[2-9][0-9]{2}(?:[ .-]|" + _WIDE + rb"))"
            rb"[2-9][0-9]{2}(?:[ .-]|" + _WIDE + rb")[0-9]{4})",
            _american,
            b"",
        ),
        (rb"(?:^|[^0-9A-Za-z.,:/+-])(\(?0[1-9](?:" + _GAP + rb"[0-9]){7,9})", _national, b"0"),
        (
            rb"(?:^|[^A-Za-z])"
            + _CALLED
            + rb"[^0-9A-Za-z]{0,4}(?:(?i:numbers?|no|nr|is|me|us|at|on|my|her|his)[^0-9A-Za-z]{1,3}){0,3}"
            rb"(\+?\(?[0-9](?:" + _GAP + rb"[0-9]){8,14})",
            _told,
            b"",
        ),
    ),
    Detector.CREDIT_CARD: (
        (rb"(?:^|[^0-9A-Za-z.])([2-68][0-9]{2,18}(?:" + _DASH + rb"[0-9]{1,18}){0,5})", _card, b""),
    ),
    Detector.SSN: (
        (
            rb"(?:^|[^0-9A-Za-z.+-])([0-9]{3}(?:-[0-9]{2}-| [0-9]{2} |" + _WIDE + rb"[0-9]{2}" + _WIDE + rb")[0-9]{4})",
            _social,
            b"",
        ),
        (
            (
                rb"(?i:ssn|social[ -]security)(?i:[ -]?(?:numbers?|no\.?|nr|is|#)){0,2}[^0-9A-Za-z]{0,4}(?i:is[ "
                rb":]{1,2})?([0-9]{9})"
            ),
            _social,
            b"",
        ),
    ),
    Detector.IBAN: ((_ALONE + rb"([A-Za-z]{2}[0-9]{2}(?:" + _DASH + rb"?[0-9A-Za-z]){11,30})", _iban, b""),),
    Detector.IP_ADDRESS: (
        (rb"(?:^|[^0-9A-Za-z._-])(" + _OCTET + rb"(?:\." + _OCTET + rb"){3})", _four, b"."),
        (rb"(?:^|[^0-9A-Za-z.:_])([0-9A-Fa-f]{3,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{0,40})", _six, b":"),
        (rb"(?:^|[^0-9A-Za-z.:_])(::(?i:ffff):[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4})", _six, b"::"),
    ),
    Detector.JWT: ((_ALONE + rb"(eyJ[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]+){1,4}\.?)", _always, b"eyJ"),),
    Detector.SECRET: (
        (_ALONE + rb"(" + _KEYS + rb")", _always, b""),
        (rb"[A-Za-z](?::|%3[Aa])//[^\x00-\x20/@:\"'<>]*:([^\x00-\x20/@\"'<>]+)@", _always, b"//"),
        (rb"(?i:bearer) +([0-9A-Za-z._~+/=-]{16,})", _bearer, b" "),
        (rb"(?i:secret_?access_?key)[^0-9A-Za-z/+]{1,8}([0-9A-Za-z/+]{40})", _always, b""),
    ),
}
_PEM: Final = compiled(rb"-----BEGIN [0-9A-Z ]{0,40}PRIVATE KEY-----")
_PEM_END: Final = compiled(rb"-----END [0-9A-Z ]{0,40}PRIVATE KEY-----")
MOST_FINDINGS: Final = 10_000
_LOOK: Final = 63
"""After so many tries it is looked at the clock."""
_COMPILED: dict[Detector, tuple[_Pattern, ...]] = {}


class TooLongError(Exception):
    """It takes longer than it may."""

    def __init__(self) -> None:
        super().__init__("it takes too long")


def find(detector: Detector, text: bytes, until: float = float("inf")) -> list[tuple[int, int]]:
    """Where `detector` finds something in `text`; findings of several of its patterns may overlap. Where there are more
    than MOST_FINDINGS, all of it is one. Raises TooLongError when it is not done by `until` (time.thread_time)."""
    patterns = _COMPILED.get(detector)
    if patterns is None:
        patterns = tuple(_Pattern(compiled(pattern), holds, needs) for pattern, holds, needs in _DECLARED[detector])
        _COMPILED[detector] = patterns
    found: list[tuple[int, int]] = []
    for pattern in patterns:
        if pattern.needs in text:
            _search(pattern, text, found, until)
    if detector is Detector.SECRET and b"PRIVATE KEY-----" in text:
        found.extend(_private_keys(text))
    return found


def _search(pattern: _Pattern, text: bytes, found: list[tuple[int, int]], until: float) -> None:
    at, last, tries = 0, len(text), 0
    search, holds = pattern.search.search, pattern.holds
    while at < last and (match := search(text, at)) is not None:
        begin, stop = match.span(1)
        end = holds(text, begin, stop)
        if end > 0:
            found.append((begin, end))
            at = end
        else:
            # Patterns whose findings may be of any length are not tried again within one: that would take for ever.
            at = begin + 1 if end == 0 else stop
        tries += 1
        if tries & _LOOK == 0:
            if len(found) > MOST_FINDINGS:
                found[:] = [(0, last)]
                return
            if time.thread_time() > until:
                raise TooLongError


def _private_keys(text: bytes) -> Found:
    """To their end, or that of the text where they are cut off."""
    at = 0
    while (begins := _PEM.search(text, at)) is not None:
        ends = _PEM_END.search(text, begins.end())
        at = ends.end() if ends is not None else len(text)
        yield begins.start(), at

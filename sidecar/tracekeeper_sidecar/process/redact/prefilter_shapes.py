"""What the pass over a request's raw bytes looks for: for each group of detectors a pattern that matches at least
wherever one of them finds something, whatever bytes stand before and behind it.

No pattern has an anchor or a word's boundary: before a text stands its length, which may look like a letter. What JSON
may write in two ways is looked for in both, or is in TRAP. In bytes, in a syntax that Hyperscan and RE2 share.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from tracekeeper_spec.redact import Detector


class Shape(NamedTuple):
    """A pattern of the pass."""

    pattern: bytes
    detectors: Collection[Detector]
    """Those whose findings it has in it; none: all of them."""
    any_case: bool = False


NUMBERS: Final = frozenset((Detector.PHONE, Detector.CREDIT_CARD, Detector.SSN, Detector.IBAN))
"""Detectors of what has DIGITS or SPLIT in it."""

DIGITS: Final = rb"[0-9](?:[ ./()-]{0,2}[0-9]){8}"
"""Nine digits with not much between them: every phone number, card, SSN and IBAN that we know has them."""
WIDE: Final = rb"(?:\xc2\xa0|\xe2\x80[\x89\x90\x91\xaf])"
"""Spaces and hyphens that do not break a line, and thin spaces: U+00A0, U+2009, U+2010, U+2011, U+202F."""

SPLIT: Final = rb"[0-9)]" + WIDE + rb"[0-9(]"
"""Digits with one of those between them."""

SHAPES: Final = (
    Shape(SPLIT, NUMBERS),  # DIGITS: see wire.numbers
    Shape(rb"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]", (Detector.IP_ADDRESS,)),  # version 6: see wire.numbers
    Shape(rb"[0-9A-Za-z._%+'\x80-\xbf-]%40[0-9A-Za-z\xc2-\xf4\\]", (Detector.EMAIL,)),  # `@`: see wire.addresses
    Shape(rb"eyJ[0-9A-Za-z_-]{8}", (Detector.JWT,)),
    Shape(
        rb"sk-[0-9A-Za-z_-]{19}|gh[oprsu]_[0-9A-Za-z]{20}|github_pat_|glpat-[0-9A-Za-z_-]{8}"
        rb"|A[BCKS][CI]A[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{20}|ya29\.[0-9A-Za-z_-]{8}|GOCSPX-[0-9A-Za-z_-]{8}"
        rb"|xox[a-z]-|xapp-[0-9]|hooks\.slack\.com|[rs]k_(?:live|test)_|whsec_|hf_[0-9A-Za-z]{20}"
        rb"|SG\.[0-9A-Za-z_-]{16}|dop_v1_|dapi[0-9a-f]{20}|gsk_[0-9A-Za-z]{20}|xai-[0-9A-Za-z]{20}|r8_[0-9A-Za-z]{20}"
        rb"|pplx-[0-9A-Za-z]{20}|lsv2_[a-z]|PRIVATE KEY-----",
        (Detector.SECRET,),
    ),
    Shape(rb"(?::|%3[Aa])\\*/\\*/[^\x00-\x20/@\"]*:[^\x00-\x20@\"]+@", (Detector.SECRET,)),
    Shape(rb"secret_?access_?key|bearer ", (Detector.SECRET,), any_case=True),
    # A character that JSON need not have escaped, or a space as above: who writes so may hide anything. What writers
    # for the web escape (& ' < >) is in no shape, and a slash in JSON is one after a backslash. U+017F and U+212A are s
    # and k to a pattern in any case.
    Shape(
        rb"\\u00(?:2[0-589a-fA-F]|3[0-9abdfABDF]|[4-7]|[aA]0)|\\u20(?:09|1[01]|2[fF])|[0-9)][ ./()-]?\\+/"
        rb"|\xc5\xbf|\xe2\x84\xaa|\\u(?:017[fF]|212[aA])",
        (),
    ),
)
"""In the order of their numbers."""
TRAP: Final = len(SHAPES) - 1


def letters(found: bytes) -> bytes:
    """Bytes as a pattern that matches them and nothing else."""
    return b"".join(rb"\x%02x" % byte for byte in found)

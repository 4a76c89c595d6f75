"""Durations and quantities, read and written as Kubernetes users write them.

Durations are `h`, `m`, `s` and `ms` in that order, each a whole number of at most five digits (`1h30m`,
`250ms`): a subset of what Go, the Gateway API (GEP-2257) and Prometheus read alike. Quantities follow
Kubernetes (`k8s.io/apimachinery/pkg/api/resource`): `1Gi`, `500m`, `1.5G`, `1e3`. All functions raise
ValueError with a text for people when they cannot read what they got.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

DURATION_PATTERN = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?([0-9]{1,5}ms)?$"
QUANTITY_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?$"

_DURATION = re.compile(DURATION_PATTERN)
_QUANTITY = re.compile(QUANTITY_PATTERN)
_SCALES = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_BINARY = [(1024**power, f"{suffix}i") for power, suffix in reversed(list(enumerate("KMGTPE", start=1)))]
_TIMES = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")]


def parse_duration(text: str) -> float:
    """Seconds in `text`, for example 5400.0 in `1h30m`."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{show(text)} is not a duration; write one like 500ms, 10s, 5m or 1h30m")
    parts = [int(part.rstrip("hms")) if part else 0 for part in match.groups()]
    return sum(part * scale for part, (scale, _) in zip(parts, _TIMES, strict=True)) / 1000


def format_duration(seconds: float) -> str:
    """`seconds` as parse_duration reads it, to the millisecond: 90.0 gives `1m30s`."""
    rest = round(seconds * 1000)
    if rest < 0:
        raise ValueError(f"{seconds} seconds is not a duration: it is negative")
    text = ""
    for scale, unit in _TIMES:
        count, rest = divmod(rest, scale)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def parse_amount(value: str | int) -> Decimal:
    """The number that a Kubernetes quantity stands for: 0.5 for `500m`, 1024 for `1Ki`."""
    text = str(value) if isinstance(value, int) and abs(value) < 10**18 else value
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or not isinstance(text, str):
        raise ValueError(f"{show(value)} is not a quantity; write one like 512Mi, 1Gi or 500m")
    suffix = match.group(2) or ""
    if suffix in _SCALES:
        return Decimal(text.removesuffix(suffix)) * _SCALES[suffix]
    return Decimal(text)


def parse_quantity(value: str | int) -> int:
    """Whole units (bytes, say) in a Kubernetes quantity, rounded up as Kubernetes does: 1073741824 for
    `1Gi`."""
    return int(parse_amount(value).to_integral_value(ROUND_CEILING))


def format_quantity(size: int) -> str:
    """`size` bytes in the largest binary unit that divides it: 1073741824 gives `1Gi`."""
    for scale, suffix in _BINARY:
        if size and size % scale == 0:
            return f"{size // scale}{suffix}"
    return str(size)


def show(value: object) -> str:
    """`value` for a message: short, quoted, on one line. Never raises (huge integers have no text)."""
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of many digits"
    if isinstance(value, (str, int, float)):
        text = repr(value[:61] if isinstance(value, str) else value)
        return text if len(text) <= 64 else text[:60] + "…"
    return f"a {type(value).__name__}"

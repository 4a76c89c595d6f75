"""What sidecars of the version before read of prices: they price calls when they meter them, know no other processor,
and look for steps of type Price beside the spec of an entry, as its `beside`. Pure.

Without it a pod that was not restarted since the operator's upgrade would price by the book alone, and say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

NAME: Final = "for-earlier-sidecars"
"""What the names of such steps begin with: by it one that an operator of the version before has published is told from
a copy."""
MOST: Final = 32
"""Overrides in one step, as that version takes them."""
MOST_STEPS: Final = 16


def prices_for_earlier(processors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The overrides of all steps, as they were written, in steps which that version takes; none where there are none.

    It knows no tiers of service: prices for one of them are left out, and so are `serviceTiers`.
    """
    found = list(_overrides(processors))[: MOST * MOST_STEPS]
    return [
        {"name": f"{NAME}-{at // MOST + 1}", "type": "Price", "price": {"overrides": found[at : at + MOST]}}
        for at in range(0, len(found), MOST)
    ]


def is_copy(processors: object) -> bool:
    """Whether that is what `prices_for_earlier` has made."""
    return (
        isinstance(processors, list)
        and bool(processors)
        and all(isinstance(each, Mapping) and str(each.get("name", "")).startswith(NAME) for each in processors)
    )


def _overrides(processors: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for step in processors:
        if step.get("type") == "Price":
            yield from (each for each in step.get("price", {}).get("overrides", ()) if "serviceTier" not in each)

"""Divides a budget as water fills vessels: the small demands are met whole, the large ones get equally much. Pure.

This is max-min fairness (Bertsekas and Gallager, "Data Networks", 6.5.2) with a lower bound for each demand.
"""

from __future__ import annotations

from collections.abc import Iterable


def level(demands: Iterable[tuple[float, float]], budget: float) -> float:
    """The level w at which the sum of min(high, max(low, w)) over all `demands` (low, high) is `budget`.

    Infinite when all demands can be met whole, 0 when the lower bounds alone take the budget. 0 <= low <= high.
    """
    slopes: list[tuple[float, int]] = []
    filled = whole = 0.0
    for low, high in demands:
        filled += low
        whole += high
        if low < high:
            slopes.append((low, 1))
            slopes.append((high, -1))
    if whole <= budget:
        return float("inf")
    if filled >= budget:
        return 0.0
    slopes.sort()
    at, rising = 0.0, 0
    for point, change in slopes:
        reached = filled + rising * (point - at)
        if reached >= budget and rising:
            return at + (budget - filled) / rising
        filled, at = reached, point
        rising += change
    return at  # only by rounding: everything is filled

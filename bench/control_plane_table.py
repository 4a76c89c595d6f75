"""The figures of bench/control_plane.py as a table: what was measured, of whom, and what was to be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]
Value = float | None


def at(*keys: str) -> Callable[[Figures], Value]:
    """What is found by these keys; None where there is nothing; the sum of what a mapping holds."""

    def find(figures: Figures) -> Value:
        found: Any = figures
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                return None
            found = found[key]
        return float(sum(found.values()) if isinstance(found, Mapping) else found)

    return find


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both sides."""

    what: str
    value: Callable[[Figures], Value]
    unit: str
    most: float | None = None
    """The goal, which is ours."""


ROWS = (
    Row(
        "pods that opted in and have no sidecar", lambda f: f["injected"]["pods"] - f["injected"]["with_sidecar"], "", 0
    ),
    Row("questions about a pod that opted in", lambda f: f["injected"]["admissions"] / f["injected"]["pods"], ""),
    Row("CPU for each pod that opted in", at("injected", "injector_cpu_ms_each"), "ms", 3.0),
    Row("questions about pods that did not", at("not_opted_in", "admissions"), "", 0),
    Row("CPU for each of these", at("not_opted_in", "injector_cpu_ms_each"), "ms"),
    Row("an answer at 50 a second, median", at("answers", "p50_ms"), "ms"),
    Row("an answer at 50 a second, 99 %", at("answers", "p99_ms"), "ms", 20.0),
    Row("CPU for each answer", at("answers", "cpu_ms_each"), "ms"),
    Row("CPU for each config", at("configs", "cpu_ms_each"), "ms"),
    Row("until all configs are in force", at("configs", "all_ready_s"), "s"),
    Row("a change until the policy holds it, median", at("change", "median_ms"), "ms"),
    Row("anonymous memory, injector", at("memory_mb", "injector"), "MB", 80.0),
    Row("anonymous memory, controller", at("memory_mb", "controller"), "MB", 120.0),
    Row("anonymous memory, together", at("memory_mb"), "MB"),
    Row("requests at rest, a minute", at("rest", "requests_per_minute"), "", 60.0),
    Row("CPU at rest, of one core", at("rest", "cpu_percent"), "%"),
    Row("control streams, one from each pod", at("streams", "streams"), ""),
    Row("anonymous memory of the controller with them", at("streams", "controller_mb"), "MB"),
    Row("CPU for each that attaches", at("streams", "cpu_ms_each"), "ms"),
    Row("CPU while they rest, of one core", at("streams", "cpu_percent_at_rest"), "%"),
)


def lines(ours: Figures | None, theirs: Figures | None) -> list[str]:
    """A Markdown table; a figure that one side does not have is left empty, and so is a side that was left out."""
    found = ["| what | Tracekeeper | goal | OpenTelemetry operator |", "|---|---|---|---|"]
    for row in ROWS:
        mine, other = (None if side is None else row.value(side) for side in (ours, theirs))
        if mine is not None or other is not None:
            missed = mine is not None and row.most is not None and mine > row.most
            goal = "" if row.most is None else shown(row.most, row.unit) + (" **missed**" if missed else "")
            found.append(f"| {row.what} | {shown(mine, row.unit)} | {goal} | {shown(other, row.unit)} |")
    return found


def shown(value: Value, unit: str) -> str:
    """With as many digits as it is worth."""
    if value is None:
        return ""
    text = f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"
    return f"{text} {unit}".rstrip()

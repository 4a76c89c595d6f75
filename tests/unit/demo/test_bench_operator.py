"""What the bench of the operators makes of its figures, and what it is measured beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import operator_build
import pytest
from control_plane_table import lines, shown

from cluster.errors import ClusterError

PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/operator-cost.md"


def figures(cpu: float = 2.5, **memory: float) -> dict[str, Any]:
    pods = {"pods": 2000, "with_sidecar": 2000, "admissions": 2000, "injector_cpu_ms_each": cpu}
    return {
        "injected": pods,
        "not_opted_in": {"admissions": 0, "injector_cpu_ms_each": 0.1},
        "answers": {"p50_ms": 2.0, "p99_ms": 9.0, "cpu_ms_each": 1.7},
        "configs": {"cpu_ms_each": 15.0, "all_ready_s": 26.0},
        "memory_mb": memory,
        "rest": {"requests_per_minute": {"controller": 34.0, "injector": 2.0}, "cpu_percent": {"injector": 0.06}},
    }


def row(found: list[str], what: str) -> list[str]:
    (line,) = [line for line in found if line.startswith(f"| {what} |")]
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def test_a_goal_that_is_missed_is_marked() -> None:
    assert row(lines(figures(2.5), None), "CPU for each pod that opted in") == ["2.5 ms", "3 ms", ""]
    assert row(lines(figures(3.2), None), "CPU for each pod that opted in") == ["3.2 ms", "3 ms **missed**", ""]


def test_the_other_side_is_held_to_no_goal() -> None:
    found = lines(figures(2.5, controller=72.0, injector=51.0), figures(9.0, injector=121.0))
    assert row(found, "CPU for each pod that opted in") == ["2.5 ms", "3 ms", "9 ms"]
    assert row(found, "anonymous memory, together") == ["123 MB", "", "121 MB"]
    assert row(found, "anonymous memory, controller") == ["72 MB", "120 MB", ""]


def test_requests_of_all_processes_count_together() -> None:
    assert row(lines(figures(), None), "requests at rest, a minute") == ["36", "60", ""]


def test_what_neither_side_has_is_left_out() -> None:
    assert not any("control streams" in line for line in lines(figures(), figures()))


@pytest.mark.parametrize(("value", "text"), [(None, ""), (0.0, "0 ms"), (0.063, "0.063 ms"), (15.64, "15.6 ms")])
def test_a_figure_has_the_digits_that_it_is_worth(value: float | None, text: str) -> None:
    assert shown(value, "ms") == text


def test_the_page_names_the_version_that_is_built() -> None:
    assert f"v{operator_build.required(operator_build.MODULE)}" in PAGE.read_text()


def test_a_module_that_is_not_required_is_named() -> None:
    with pytest.raises(ClusterError, match=r"example\.com/none"):
        operator_build.required("example.com/none")

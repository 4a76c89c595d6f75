"""Every metric of alerts' conditions, run by the real promtool on written series: it fires beyond its boundary, and
neither on it nor before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from alert_world import CONFIG, Series, Trial, Unit, compiled, per_second, run, steady
from tracekeeper_spec.alert.metric import METRICS, BudgetMember

OURS = {"alerts": CONFIG, "namespace": "shop", "pod": "web-1", "service": "web"}
WHO = {**OURS, "agent": "planner"}
METERING: Series = ("tracekeeper_metering", {"alerts": CONFIG, "namespace": "shop", "pod": "web-1"}, steady(1))
DAY_BUDGET = {"name": "daily", "period": "Day", "limit": {"amount": "10"}}


def counter(name: str, rate: float, **labels: str) -> Series:
    return f"tracekeeper_{name}", {**WHO, **labels}, per_second(rate)


def gauge(name: str, value: float, **labels: str) -> Series:
    return f"tracekeeper_{name}", {**WHO, **labels}, steady(value)


def split(name: str, part: Mapping[str, str], rest: Mapping[str, str], share: float, **labels: str) -> list[Series]:
    """A counter that grows by one in a second, of which `share` is the part."""
    return [counter(name, share, **part, **labels), counter(name, 1 - share, **rest, **labels)]


def durations(name: str, bound: str, share: float, **labels: str) -> list[Series]:
    """A histogram with `share` of its observations within `bound`, and the rest beyond the next one."""
    bounds = {"1.0": "2.5", "5.0": "10.0", "10.0": "15.0"}
    counts = {bound: share, bounds[bound]: share, "14400.0": 1.0, "+Inf": 1.0}
    buckets = [counter(f"{name}_bucket", rate, le=le, **labels) for le, rate in counts.items()]
    return [*buckets, counter(f"{name}_count", 1.0, **labels)]


def budget(metric: str, value: float, **labels: str) -> Series:
    """As the operator shows it, from its own namespace."""
    shown = {"namespace": "tracekeeper", "pod": "controller-1", "config": CONFIG, "budget": "daily", **labels}
    return f"tracekeeper_budget_{metric}", shown, steady(value)


ERROR, FINE = {"status": "error", "error_type": "timeout"}, {"status": "ok"}


class Boundary(NamedTuple):
    """A condition, and worlds by how far they are above its boundary: -1, 0 and 1. It holds in the last one alone."""

    condition: str
    world: Callable[[int], list[Series]]
    groups: Sequence[str] = ("Agent",)
    labels: Mapping[str, str] = {"agent": "planner"}
    below: bool = False
    """It holds below instead."""
    on: bool = False
    """It holds on the boundary alone."""
    at: Sequence[int] = (-1, 0, 1)
    metric: str = ""
    """The value of the label, where it is not the metric's name."""


def quantile(digits: str) -> Boundary:
    share = float(f"0.{digits}")
    # Of 1 in a second, so much is within 10 s; on the boundary itself, floats decide, but for 0.5.
    step = (1 - share) / 2

    def world(level: int) -> list[Series]:
        return durations("request_duration_seconds", "10.0", share - level * step)

    return Boundary(f"p{digits}_latency > 10s", world, at=(-1, 0, 1) if digits == "50" else (-1, 1))


def many(tokens: str, over: str, unit: float, **labels: str) -> Callable[[int], list[Series]]:
    """`tokens` in a second by `over` in a second: `unit` on the boundary."""
    return lambda level: [counter(tokens, unit + level * unit / 8, **labels), counter(over, 1.0, **labels)]


BOUNDARIES: dict[str, list[Boundary]] = {
    "error_rate": [
        Boundary("error_rate > 0.25", lambda n: split("requests_total", ERROR, FINE, 0.25 + n / 16)),
        Boundary("0.25 < error_rate", lambda n: split("requests_total", ERROR, FINE, 0.25 + n / 16)),
        Boundary("!(error_rate <= 0.25)", lambda n: split("requests_total", ERROR, FINE, 0.25 + n / 16)),
        Boundary(
            "error_rate > 0.25",
            lambda n: split("operations_total", ERROR, FINE, 0.25 + n / 16, model="m1", provider="p"),
            ("Model",),
            {"model": "m1"},
        ),
        Boundary(
            "error_rate > 0.25",
            lambda n: split("tool_calls_total", ERROR, FINE, 0.25 + n / 16, tool="search"),
            ("Service", "Tool"),
            {"service": "web", "tool": "search"},
        ),
    ],
    "request_rate": [
        Boundary("request_rate > 2", lambda n: [counter("requests_total", 2 + n, status="ok")]),
        Boundary("request_rate < 2", lambda n: [counter("requests_total", 2 + n, status="ok")], below=True),
        Boundary("request_rate == 0", lambda n: [counter("requests_total", abs(n), status="ok")], on=True),
    ],
    "span_rate": [
        Boundary("span_rate > 2", lambda n: [counter("metered_spans_total", 2 + n)], ("Service",), {"service": "web"})
    ],
    **{f"p{digits}_latency": [quantile(digits)] for digits in ("50", "90", "95", "99", "999")},
    "slow_rate": [
        Boundary("slow_rate(1s) > 0.25", lambda n: durations("request_duration_seconds", "1.0", 0.75 - n / 16)),
        Boundary(
            "slow_rate(1s) > 0.25",
            lambda n: durations("operation_duration_seconds", "1.0", 0.75 - n / 16, kind="llm", model="m1"),
            ("Model",),
            {"model": "m1"},
        ),
    ],
    "calls_per_request": [
        Boundary("calls_per_request > 100", lambda n: [gauge("request_calls_highest", 100 + n)]),
        Boundary("calls_per_request == 147", lambda n: [gauge("request_calls_highest", 147 + n)], on=True),
    ],
    "tokens_per_request": [
        Boundary("tokens_per_request > 4096", many("tokens_total", "requests_total", 4096.0, type="input"))
    ],
    "tokens_per_call": [
        Boundary(
            "tokens_per_call > 4096",
            many("tokens_total", "operations_total", 4096.0, model="m1", type="input", kind="llm"),
            ("Model",),
            {"model": "m1"},
        )
    ],
    "output_tokens_per_call": [
        Boundary(
            "output_tokens_per_call > 512",
            lambda n: [
                counter("tokens_total", 512 + n * 64, type="output"),
                counter("tokens_total", 9000, type="input"),
                counter("operations_total", 1, kind="llm"),
                counter("operations_total", 7, kind="tool"),
            ],
        )
    ],
    "tokens_per_minute": [
        Boundary("tokens_per_minute > 120", lambda n: [counter("tokens_total", 2 + n / 4, type="input")])
    ],
    "cost_per_request": [
        Boundary("cost_per_request > 0.5", many("cost_dollars_total", "requests_total", 0.5)),
    ],
    "cost_per_hour": [
        Boundary("cost_per_hour > 14.0625", lambda n: [counter("cost_dollars_total", (1 + n / 4) / 256, model="m1")])
    ],
    "cost_per_conversation": [
        Boundary("cost_per_conversation > 1.00", lambda n: [gauge("conversation_cost_highest_dollars", 1 + n / 64)])
    ],
    "avg_cost_per_conversation": [
        Boundary("avg_cost_per_conversation > 0.5", many("conversation_cost_dollars_total", "conversations_total", 0.5))
    ],
    "daily_cost": [
        Boundary(
            "daily_cost > budget_limit",
            lambda n: [budget("spent_dollars", 10 + n), budget("limit_dollars", 10)],
            (),
            {"config": CONFIG, "budget": "daily"},
            metric="budget.spent",
        ),
        Boundary(
            "daily_cost > 5",
            lambda n: [budget("spent_dollars", 5 + n)],
            (),
            {"config": CONFIG, "budget": "daily"},
        ),
    ],
    "unpriced_calls": [
        Boundary(
            "unpriced_calls > 37.5",
            lambda n: [counter("unpriced_calls_total", (1 + n / 4) / 16, model="m1", provider="p")],
            ("Model", "Provider"),
            {"model": "m1", "provider": "p"},
        )
    ],
    "tool_success_rate": [
        Boundary(
            "tool_success_rate < 0.75",
            lambda n: split("tool_calls_total", FINE, ERROR, 0.75 + n / 16, tool="search"),
            ("Tool",),
            {"tool": "search"},
            below=True,
        )
    ],
    "tool_error_rate": [
        Boundary("tool_error_rate > 0.25", lambda n: split("tool_calls_total", ERROR, FINE, 0.25 + n / 16, tool="x"))
    ],
    "truncated_rate": [
        Boundary(
            "truncated_rate > 0.25",
            lambda n: split("finish_reasons_total", {"reason": "length"}, {"reason": "stop"}, 0.25 + n / 16, model="m"),
        )
    ],
    "model_changes": [
        Boundary(
            "model_changes > 37.5",
            lambda n: [counter("response_model_changes_total", (1 + n / 4) / 16, model="m1")],
            ("Model",),
            {"model": "m1"},
        )
    ],
    "detections": [
        Boundary(
            "detections > 37.5",
            lambda n: [counter("detections_total", (1 + n / 4) / 16, detector="Loop")],
            ("Detector",),
            {"detector": "Loop"},
        )
    ],
}

ONE = {"config": CONFIG, "budget": "daily"}
BUDGETS: dict[BudgetMember, Boundary] = {
    BudgetMember.SPENT: Boundary(
        'budget("daily").spent > budget("daily").limit',
        lambda n: [budget("spent_dollars", 10 + n), budget("limit_dollars", 10)],
    ),
    BudgetMember.LIMIT: Boundary('budget("daily").limit > 10', lambda n: [budget("limit_dollars", 10 + n)]),
    BudgetMember.FORECAST: Boundary(
        'budget("daily").forecast > budget("daily").limit',
        lambda n: [budget("forecast_dollars", 10 + n), budget("limit_dollars", 10)],
    ),
    BudgetMember.REMAINING: Boundary(
        'budget("daily").remaining < 0',
        lambda n: [budget("spent_dollars", 10 - n), budget("limit_dollars", 10)],
        below=True,
    ),
    BudgetMember.USED: Boundary('budget("daily").used > 0.75', lambda n: [budget("used_ratio", 0.75 + n / 16)]),
    BudgetMember.BURN: Boundary(
        'budget("daily").burn("1h") > 0.25',
        lambda n: [budget("burn_ratio", 0.25 + n / 16, window="1h"), budget("burn_ratio", 0.9, window="5m")],
    ),
}

SHOP = {"severity": "warning", "namespace": "shop", "tracekeeper_config": CONFIG}


def holds(case: Boundary, level: int) -> bool:
    return level == 0 if case.on else (level < 0 if case.below else level > 0)


def trial_of(name: str, case: Boundary, metric: str, labels: Mapping[str, str]) -> Trial:
    rule = {"name": name, "condition": case.condition, "window": "10m", "groupBy": list(case.groups)}
    made = compiled(rule, budgets=[DAY_BUDGET])
    assert not made.faults, [fault.text for fault in made.faults]
    trial = Trial(made.rules)
    for level in case.at:
        fires = [{**SHOP, "tracekeeper_metric": metric, **labels}] if holds(case, level) else []
        trial.units.append(Unit(f"{case.condition} at {level}", case.world(level), name, fires))
    return trial


def test_each_metric_fires_beyond_its_boundary_and_nowhere_else(tmp_path: Path) -> None:
    assert set(BOUNDARIES) == set(METRICS), "each metric needs a case"
    trials = [
        trial_of(f"{metric.replace('_', '')}{index}".title(), case, case.metric or metric, case.labels)
        for metric, cases in BOUNDARIES.items()
        for index, case in enumerate(cases)
    ]
    run(tmp_path, *trials)
    print(f"{sum(len(trial.units) for trial in trials)} worlds of {len(trials)} rules")


def test_each_amount_of_a_budget_fires_beyond_its_boundary(tmp_path: Path) -> None:
    assert set(BUDGETS) == set(BudgetMember), "each amount needs a case"
    trials = [
        trial_of(member.title(), case._replace(groups=()), f"budget.{member}", ONE) for member, case in BUDGETS.items()
    ]
    run(tmp_path, *trials)
    print(f"{sum(len(trial.units) for trial in trials)} worlds of {len(trials)} rules")

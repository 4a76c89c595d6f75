"""The operator's Grafana dashboard, from the panels declared here; scripts/generate.py writes it into the chart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from typing import Any

WIDTH, HEIGHT = 8, 8
"""Of one panel, in Grafana's units; 24 make a row."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTOR = 'namespace="$namespace"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: what it says, its unit, and pairs of a query and the legend of what it finds.

    `{}` in a query stands for the labels that select this installation.
    """

    title: str
    meaning: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def rate(metric: str, *labels: str) -> tuple[tuple[str, str], ...]:
    """Events per second, by the labels named."""
    query = f"sum by ({', '.join(labels)}) (rate({metric}{{}}[$__rate_interval]))" if labels else ""
    return (
        (
            query or f"sum(rate({metric}{{}}[$__rate_interval]))",
            " ".join(f"{{{{{label}}}}}" for label in labels) or "all",
        ),
    )


def quantiles(metric: str, *shares: float) -> tuple[tuple[str, str], ...]:
    """How long it took, for so many of a hundred."""
    return tuple(
        (f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{}}[$__rate_interval])))", f"p{share * 100:g}")
        for share in shares
    )


ROWS: dict[str, tuple[Panel, ...]] = {
    "Injection": (
        Panel(
            "Admissions",
            "Answers a second, by webhook and result. `failed` and `malformed` are faults: see the injector's log.",
            "reqps",
            rate("tracekeeper_injector_admissions_total", "webhook", "result"),
        ),
        Panel(
            "Time of an answer",
            "From a whole request to its answer, inside the injector. The goal is 20 ms for 99 of 100.",
            "s",
            quantiles("tracekeeper_injector_admission_seconds", 0.5, 0.99),
        ),
        Panel(
            "Pods left alone",
            "Opted-in pods that got no sidecar, by reason. An Event on each pod's owner says more.",
            "reqps",
            rate("tracekeeper_injector_skipped_total", "skip_reason"),
        ),
        Panel(
            "Since the API server was heard",
            "Age of what each injector knows of TracingConfigs. Minutes mean that it answers from memory alone.",
            "s",
            (("time() - (tracekeeper_injector_watch_timestamp_seconds{} > 0)", "{{pod}}"),),
        ),
        Panel(
            "Events on owners",
            "What was told to the owners of pods. `dropped` and `failed` are lost.",
            "reqps",
            rate("tracekeeper_injector_events_total", "result"),
        ),
        Panel(
            "Certificate's days left",
            "Until the serving certificate, or its authority, ends. It is renewed when a third of its life is left.",
            "d",
            (
                (
                    "(min by (pod) (tracekeeper_operator_certificate_expiry_timestamp_seconds{} > 0) - time()) / 86400",
                    "{{pod}}",
                ),
            ),
        ),
    ),
    "Pods": (
        Panel(
            "Pods",
            "Opted-in pods by state: `missed` have no sidecar, `failed` one that does not run, `stale` an old policy.",
            "short",
            (("sum by (state) (tracekeeper_controller_pods{})", "{{state}}"),),
        ),
        Panel(
            "Looks at all pods",
            "By which missed ones are found. Errors are tried again.",
            "ops",
            rate("tracekeeper_controller_sweeps_total", "result"),
        ),
        Panel(
            "What was done about them",
            "Evictions of missed pods, and sidecars that got another image in place; only where it is asked for.",
            "ops",
            (
                (
                    "sum by (result) (rate(tracekeeper_controller_repairs_total{}[$__rate_interval]))",
                    "eviction {{result}}",
                ),
                (
                    "sum by (result) (rate(tracekeeper_controller_image_updates_total{}[$__rate_interval]))",
                    "image {{result}}",
                ),
            ),
        ),
        Panel(
            "Images that do not work",
            "1 while this release's sidecar cannot be pulled or started, and in how many namespaces it was refused.",
            "short",
            (
                ("max(tracekeeper_controller_sidecar_image_broken{})", "broken"),
                ("max(tracekeeper_controller_sidecar_image_refused_namespaces{})", "namespaces"),
            ),
        ),
    ),
    "Configuration": (
        Panel(
            "Who leads",
            "1 for the controller that leads. More than one at a time, or none for minutes, is a fault.",
            "short",
            (("max by (pod) (tracekeeper_controller_leader{})", "{{pod}}"),),
        ),
        Panel(
            "TracingConfigs",
            "As many as each process knows. They differ for moments only.",
            "short",
            (("max by (pod) (tracekeeper_operator_tracingconfigs{})", "{{pod}}"),),
        ),
        Panel(
            "Rounds",
            "Namespaces brought to what their TracingConfigs say, by result. Errors are tried again.",
            "ops",
            rate("tracekeeper_controller_reconciles_total", "result"),
        ),
        Panel(
            "Time of a round",
            "Of one namespace: reading its Secrets, compiling its policy, writing it and its statuses.",
            "s",
            quantiles("tracekeeper_controller_reconcile_seconds", 0.5, 0.99),
        ),
        Panel(
            "Writes",
            "Policies published and statuses written. Both are rare while nothing changes.",
            "ops",
            (
                ("sum(rate(tracekeeper_controller_policy_writes_total{}[$__rate_interval]))", "policies"),
                ("sum(rate(tracekeeper_controller_status_writes_total{}[$__rate_interval]))", "statuses"),
            ),
        ),
        Panel(
            "Rollouts",
            "TracingConfigs with a section `rollout`, by phase. `Halted` ones were taken back: see `rollout status`.",
            "short",
            (("sum by (phase) (tracekeeper_controller_rollouts{})", "{{phase}}"),),
        ),
    ),
    "Control stream": (
        Panel(
            "Sidecars attached",
            "And the groups in which they share a target, or tell each other which traces they keep.",
            "short",
            (
                ("sum(tracekeeper_control_sidecars{})", "sidecars"),
                ("sum(tracekeeper_control_groups{})", "groups"),
            ),
        ),
        Panel(
            "Refused and ended",
            "Sidecars that could not attach, by problem, and streams that ended, by reason; `left` is as it should be.",
            "ops",
            (
                *rate("tracekeeper_control_refused_total", "problem"),
                *rate("tracekeeper_control_streams_ended_total", "reason"),
            ),
        ),
        Panel(
            "Messages",
            "From sidecars (in) and to them (out), by kind.",
            "ops",
            rate("tracekeeper_control_messages_total", "direction", "kind"),
        ),
        Panel(
            "Kept traces told to others",
            "`dropped` means that there were too many: others then keep such a trace only by its id.",
            "ops",
            rate("tracekeeper_control_decisions_total", "result"),
        ),
        Panel(
            "Time until all others know",
            "From the arrival of a decision to when it is on its way to the last sidecar.",
            "s",
            quantiles("tracekeeper_control_spread_seconds", 0.5, 0.99),
        ),
    ),
}


def render() -> str:
    """charts/tracekeeper/dashboards/operator.json."""
    board = {
        "uid": "tracekeeper-operator",
        "title": "Tracekeeper / Operator",
        "description": "Generated from scripts/generate_dashboard.py by `make docs`.",
        "tags": ["tracekeeper"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source(), _namespace()]},
        "panels": _panels(),
    }
    return json.dumps(board, indent=2) + "\n"


def queries() -> list[str]:
    """Every query of the dashboard, as Grafana sends it, variables apart."""
    return [
        expression.replace("{}", f"{{{SELECTOR}}}")
        for panels in ROWS.values()
        for panel in panels
        for expression, _ in panel.queries
    ]


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _namespace() -> dict[str, Any]:
    return {
        "name": "namespace",
        "label": "Operator's namespace",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(tracekeeper_operator_tracingconfigs, namespace)",
        "refresh": 2,
        "sort": 1,
    }


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    numbers, y = count(1), 0
    for title, panels in ROWS.items():
        grid = {"h": 1, "w": 24, "x": 0, "y": y}
        found.append(
            {"id": next(numbers), "type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []}
        )
        y += 1
        for place, panel in enumerate(panels):
            across, down = place % (24 // WIDTH), place // (24 // WIDTH)
            grid = {"h": HEIGHT, "w": WIDTH, "x": across * WIDTH, "y": y + down * HEIGHT}
            found.append({"id": next(numbers), **_panel(panel), "gridPos": grid})
        y += HEIGHT * (-(-len(panels) // (24 // WIDTH)))
    return found


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "expr": expression.replace("{}", f"{{{SELECTOR}}}"),
            "legendFormat": legend,
        }
        for place, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }

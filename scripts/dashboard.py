"""What Grafana dashboards are declared with, and the JSON that Grafana imports.

In a query, `name{}` or `name{status="error"}` stands for that series with the matchers of the board's variables added:
those whose label the metric has. So a query names a label only where it is about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from generate_metrics import declared, labels_of_series

COLUMNS = 24
"""Of Grafana's grid."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SERIES = re.compile(r"\b(tracekeeper_\w+)\{([^}]*)\}")
LABELS = labels_of_series()
OF_SIDECAR = {series for metric in declared() if metric.process == "sidecar" for series in metric.series}


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: what it says, its unit, and pairs of a query and the legend of what it finds."""

    title: str
    meaning: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    """`stat` for one number, `table` for a row per group and a column per query, named by its legend."""
    width: int = 8
    height: int = 8
    units: tuple[str, ...] = ()
    """A table's: of each query's column."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a board."""

    label: str
    """The label that it selects by, and its name."""
    title: str
    series: str
    """Where its values are found."""
    several: bool = True
    """Whether all, or some, may be chosen."""
    of: str = "sidecar"
    """Whose namespace or pod it selects; the other program is in another one."""

    @property
    def matcher(self) -> str:
        """As it stands in a selector."""
        return f'{self.label}=~"${self.label}"' if self.several else f'{self.label}="${self.label}"'


NAMESPACE_OF_OPERATOR = Variable(
    "namespace", "Operator's namespace", "tracekeeper_operator_tracingconfigs", several=False, of="operator"
)
NAMESPACE = Variable("namespace", "Namespace", "tracekeeper_build_info")
SERVICE = Variable("service", "Service", "tracekeeper_metered_spans_total")
AGENT = Variable("agent", "Agent", "tracekeeper_requests_total")


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard."""

    name: str
    """Of its file; its uid is `tracekeeper-NAME`."""
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: dict[str, tuple[Panel, ...]]

    def query(self, text: str) -> str:
        """As Grafana sends it, the values of variables apart."""

        def selected(found: re.Match[str]) -> str:
            name, written = found.groups()
            matchers = [each.matcher for each in self.variables if self._selects(each, name)]
            return f"{name}{{{','.join([*matchers, *([written] if written else [])])}}}"

        return SERIES.sub(selected, text)

    def queries(self) -> Iterator[str]:
        """All of them."""
        for panels in self.rows.values():
            for panel in panels:
                for text, _ in panel.queries:
                    yield self.query(text)

    @staticmethod
    def _selects(variable: Variable, series: str) -> bool:
        """Prometheus adds the namespace of the pod; a metric with a label of that name is about other namespaces."""
        if variable.label == "namespace":
            return "namespace" not in LABELS[series] and (series in OF_SIDECAR) == (variable.of == "sidecar")
        return variable.label in LABELS[series]


def rate(metric: str, *labels: str) -> tuple[tuple[str, str], ...]:
    """Events per second, by the labels named."""
    by = f"sum by ({', '.join(labels)}) " if labels else "sum"
    legend = " ".join(f"{{{{{label}}}}}" for label in labels) or "all"
    return ((f"{by}(rate({metric}{{}}[$__rate_interval]))", legend),)


def quantiles(metric: str, *shares: float) -> tuple[tuple[str, str], ...]:
    """How long it took, for so many of a hundred."""
    return tuple(
        (f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{}}[$__rate_interval])))", f"p{share * 100:g}")
        for share in shares
    )


def render(board: Board) -> dict[str, Any]:
    """What Grafana imports."""
    return {
        "uid": f"tracekeeper-{board.name}",
        "title": board.title,
        "description": f"{board.description} Generated from scripts/dashboard_{board.name}.py by `make docs`.",
        "tags": ["tracekeeper"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source(), *(_variable(each, board) for each in board.variables)]},
        "panels": list(_panels(board)),
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _variable(variable: Variable, board: Board) -> dict[str, Any]:
    """A later one offers what there is within the choice of those before it."""
    before = board.variables[: board.variables.index(variable)]
    matchers = ",".join(each.matcher for each in before)
    series = f"{variable.series}{{{matchers}}}" if matchers else variable.series
    found: dict[str, Any] = {
        "name": variable.label,
        "label": variable.title,
        "type": "query",
        "datasource": SOURCE,
        "query": f"label_values({series}, {variable.label})",
        "refresh": 2,
        "sort": 1,
    }
    if variable.several:
        found |= {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return found


def _panels(board: Board) -> Iterator[dict[str, Any]]:
    numbers, y = count(1), 0
    for title, panels in board.rows.items():
        grid = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        yield {"id": next(numbers), "type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []}
        y, x, height = y + 1, 0, 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                y, x, height = y + height, 0, 0
            grid = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            yield {"id": next(numbers), **_panel(board, panel), "gridPos": grid}
            x, height = x + panel.width, max(height, panel.height)
        y += height


def _panel(board: Board, panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [_target(board, panel, place) for place in range(len(panel.queries))],
    }
    match panel.kind:
        case "timeseries":
            legend = {"displayMode": "list", "placement": "bottom"}
            found["options"] = {"legend": legend, "tooltip": {"mode": "multi"}}
        case "stat":
            found["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none", "graphMode": "area"}
        case "table":
            found |= _table(panel)
    return found


def _target(board: Board, panel: Panel, place: int) -> dict[str, Any]:
    text, legend = panel.queries[place]
    found: dict[str, Any] = {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "expr": board.query(text),
        "legendFormat": legend,
    }
    if panel.kind == "table":
        return found | {"format": "table", "instant": True}
    return found | ({"exemplar": True} if panel.kind == "timeseries" and "_bucket{" in text else {})


def _table(panel: Panel) -> dict[str, Any]:
    """A row for each group, a column for each query."""
    names = {f"Value #{chr(ord('A') + place)}": legend for place, (_, legend) in enumerate(panel.queries)}
    overrides = [
        {"matcher": {"id": "byName", "options": legend}, "properties": [{"id": "unit", "value": unit}]}
        for (_, legend), unit in zip(panel.queries, panel.units, strict=True)
    ]
    first = panel.queries[0][1]
    return {
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": overrides},
        "options": {"sortBy": [{"displayName": first, "desc": True}]},
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
        ],
    }

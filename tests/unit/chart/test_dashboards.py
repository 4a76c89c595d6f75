"""The Grafana dashboards in the chart: what they ask for exists, and Grafana's sidecar gets them as they are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_render import CHART, DEFAULT, ROOT, Helm, of_kind, render
from tracekeeper_operator.metrics import ControllerMetrics, InjectorMetrics

sys.path.insert(0, str(ROOT / "scripts"))

import generate_dashboard

BOARDS = sorted((CHART / "dashboards").glob("*.json"))
NAME = re.compile(r"\btracekeeper_\w+")
WORDS = {"sum", "min", "max", "by", "rate", "le", "time", "histogram_quantile", "namespace"}
LABELS = {"pod"}
"""Given by whoever scrapes."""


def known() -> dict[str, set[str]]:
    """What the operator's processes expose: each series' name, as Prometheus stores it, and its labels."""
    found: dict[str, set[str]] = {}
    for registry in (ControllerMetrics().registry, InjectorMetrics().registry):
        for family in registry.collect():
            collector = registry._names_to_collectors[family.name]
            labels = set(getattr(collector, "_labelnames", ()))
            found |= dict.fromkeys(_series(family.name, family.type), labels)
    return found


def _series(name: str, kind: str) -> list[str]:
    match kind:
        case "counter":
            return [f"{name}_total"]
        case "histogram":
            return [f"{name}_bucket", f"{name}_sum", f"{name}_count"]
    return [name]


def queries(board: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return asked + [variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_metric_on_a_dashboard_exists(path: Path) -> None:
    names = {name for query in queries(json.loads(path.read_text())) for name in NAME.findall(query)}
    assert len(names) > 10
    assert names - known().keys() == set()


def test_every_label_that_is_grouped_by_or_shown_exists() -> None:
    series = known()
    for panels in generate_dashboard.ROWS.values():
        for panel in panels:
            for query, legend in panel.queries:
                (metric,) = set(NAME.findall(query))
                grouped = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
                used = grouped | set(re.findall(r"\{\{(\w+)\}\}", legend))
                assert used <= series[metric] | LABELS | {"le"}, panel.title


def test_queries_are_whole() -> None:
    for query in generate_dashboard.queries():
        assert query.count("(") == query.count(")"), query
        assert query.count("{") == query.count("}") > 0, query
        assert '{namespace="$namespace"}' in query


def test_panels_do_not_cover_each_other() -> None:
    (path,) = BOARDS
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.cluster  # For Helm.
def test_grafanas_sidecar_gets_them_as_they_are(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, "--set", "dashboards.enabled=true")
    (found,) = [o for o in of_kind(objects, "ConfigMap") if o["metadata"]["name"].endswith("-dashboards")]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {name: json.loads(text) for name, text in found["data"].items()} == {
        f"tracekeeper-{path.name}": json.loads(path.read_text()) for path in BOARDS
    }


@pytest.mark.cluster  # For Helm.
def test_there_are_none_unless_asked_for(helm: Helm) -> None:
    assert not [o for o in of_kind(render(helm, "-f", DEFAULT), "ConfigMap") if "dashboards" in o["metadata"]["name"]]


@pytest.mark.cluster  # For Helm.
def test_the_rendered_examples_are_current() -> None:
    import generate_rendered

    pages = generate_rendered.pages()
    assert len(pages) >= 4
    stale = [name for name, make in pages.items() if (ROOT / name).read_text() != make()]
    assert stale == [], "run `make docs` and commit charts/tracekeeper/examples"
    assert {path.name for path in (CHART / "examples").iterdir()} == {Path(name).name for name in pages}
    for name in pages:
        assert len(list(yaml.safe_load_all((ROOT / name).read_text()))) > 15

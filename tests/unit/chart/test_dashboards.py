"""The Grafana dashboards in the chart: what they ask for exists, Prometheus takes every query, and Grafana's sidecar
gets them as they are."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from chart_render import CHART, DEFAULT, ROOT, Helm, of_kind, render
from known_metrics import labels_of_series
from promtool import promtool, said

sys.path.insert(0, str(ROOT / "scripts"))

import generate_dashboard

FILES = sorted((CHART / "dashboards").glob("*.json"))
SCRAPED = {"namespace", "pod", "job"}
"""Labels given by whoever scrapes."""
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h"}
SERIES = labels_of_series()


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def asked(expression: str) -> str:
    """A query as Prometheus gets it."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return re.sub(r"\$(\w+)", "(a|b)", expression)


QUERIES = [
    pytest.param(asked(target["expr"]), target["legendFormat"], id=f"{path.stem}: {panel['title']} {target['refId']}")
    for path in FILES
    for panel in panels(json.loads(path.read_text()))
    for target in panel["targets"]
]


def below(node: Any) -> Iterator[Any]:
    """A node of a query's tree, and all beneath it."""
    yield node
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if (child := getattr(node, name, None)) is not None:
            yield from below(child)
    for child in getattr(node, "args", ()):
        yield from below(child)


def selectors(node: Any) -> list[Any]:
    return [each for each in below(node) if isinstance(each, promql_parser.VectorSelector)]


@pytest.mark.parametrize(("query", "legend"), QUERIES)
def test_every_metric_and_label_of_a_query_exists(query: str, legend: str) -> None:
    tree = promql_parser.parse(query)
    assert selectors(tree)
    for selector in selectors(tree):
        assert selector.name in SERIES
        named = {matcher.name for matcher in selector.matchers.matchers}
        assert named <= SERIES[selector.name] | SCRAPED, query
    for node in below(tree):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            for selector in selectors(node):
                assert set(node.modifier.labels) <= SERIES[selector.name] | SCRAPED, query
    kept = {label for node in below(tree) if getattr(node, "modifier", None) for label in _grouping(node)}
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= (kept or SCRAPED), legend


def _grouping(node: Any) -> list[str]:
    aggregates = isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None
    return list(node.modifier.labels) if aggregates else []


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"query:{place}", "expr": query.values[0]} for place, query in enumerate(QUERIES)]
    assert len(rules) > 100
    (file := tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    code, text = said(promtool(), "check", "rules", "--lint=none", file)
    assert code == 0, text


def test_a_query_that_prometheus_refuses_is_noticed(tmp_path: Path) -> None:
    rules = [{"record": "query:0", "expr": "sum by (x"}]
    (file := tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    assert said(promtool(), "check", "rules", "--lint=none", file)[0] != 0


def test_boards_are_those_that_are_declared() -> None:
    assert {path.stem for path in FILES} == {board.name for board in generate_dashboard.BOARDS}
    for board in generate_dashboard.BOARDS:
        assert (CHART / f"dashboards/{board.name}.json").read_text() == generate_dashboard.text(board)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_variables_select_and_are_found_where_they_are_said_to_be(path: Path) -> None:
    board = json.loads(path.read_text())
    chosen = [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
    for variable in chosen:
        found = re.fullmatch(r"label_values\((tracekeeper_\w+)(?:\{.*\})?, (\w+)\)", variable["query"])
        assert found is not None
        assert found[2] in SERIES[found[1]] | SCRAPED
    expressions = " ".join(target["expr"] for panel in panels(board) for target in panel["targets"])
    used = set(re.findall(r"\$([a-z]\w*)", expressions))
    assert used == {variable["name"] for variable in chosen}


def test_graphs_of_latency_show_exemplars() -> None:
    for path in FILES:
        for panel in panels(json.loads(path.read_text())):
            for target in panel["targets"]:
                wanted = panel["type"] == "timeseries" and "_bucket{" in target["expr"]
                assert target.get("exemplar", False) is wanted, (path.stem, panel["title"])
    assert '"exemplar": true' in (CHART / "dashboards/agents.json").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panels_do_not_cover_each_other(path: Path) -> None:
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
        f"tracekeeper-{path.name}": json.loads(path.read_text()) for path in FILES
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

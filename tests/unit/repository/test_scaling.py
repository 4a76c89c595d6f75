"""The queries by which the page on scaling has pods added, asked of Prometheus itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from known_metrics import labels_of_series
from promtool import promtool, said

PAGE = (Path(__file__).parents[3] / "docs/how-to/scale.md").read_text()
BLOCKS: list[dict[str, Any]] = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
RULES = {rule["name"]["as"]: rule for rule in BLOCKS[0]["rules"]}
(SCALER,) = (block for block in BLOCKS if block.get("kind") == "HorizontalPodAutoscaler")
(KEDA,) = (block for block in BLOCKS if block.get("kind") == "ScaledObject")


def asked(rule: dict[str, Any], series: str) -> str:
    """The query as the adapter fills it in for the pods of an autoscaler."""
    query: str = rule["metricsQuery"]
    query = query.replace("<<.Series>>", series).replace("<<.LabelMatchers>>", 'namespace="shop",pod=~"a|b"')
    return query.replace("<<.GroupBy>>", "pod")


def judge(tmp_path: Path, series: dict[str, str], query: str, expected: list[dict[str, Any]]) -> str:
    """What promtool says of a query's result at 10 minutes, with series written each 15 s."""
    case = {"expr": query, "eval_time": "10m", "exp_samples": expected}
    written = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "15s", "input_series": written, "promql_expr_test": [case]}
    (file := tmp_path / "scaling.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    code, text = said(promtool(), "test", "rules", file)
    return "" if code == 0 else text


def test_every_metric_that_the_autoscaler_asks_for_is_made_of_one_that_exists() -> None:
    assert [each["pods"]["metric"]["name"] for each in SCALER["spec"]["metrics"]] == list(RULES)
    for rule in RULES.values():
        series = rule["seriesQuery"].partition("{")[0]
        assert re.fullmatch(rule["name"]["matches"], series)
        matched = set(re.findall(r'(\w+)!?="', rule["seriesQuery"]))
        assert matched - {"namespace", "pod"} <= labels_of_series()[series]


def test_requests_per_second_are_those_of_each_pod(tmp_path: Path) -> None:
    query = asked(RULES["agent_requests_per_second"], "tracekeeper_requests_total")
    series = {
        'tracekeeper_requests_total{namespace="shop",pod="a",agent="x",status="ok"}': "0+30x60",
        'tracekeeper_requests_total{namespace="shop",pod="a",agent="y",status="error"}': "0+15x60",
        'tracekeeper_requests_total{namespace="shop",pod="b",agent="x",status="ok"}': "5+0x60",
        'tracekeeper_requests_total{namespace="bank",pod="a",agent="x",status="ok"}': "0+30x60",
    }
    assert not judge(
        tmp_path, series, query, [{"labels": '{pod="a"}', "value": 3}, {"labels": '{pod="b"}', "value": 0}]
    )


def test_calls_under_way_are_the_seconds_of_calls_per_second(tmp_path: Path) -> None:
    query = asked(RULES["agent_model_calls_under_way"], "tracekeeper_operation_duration_seconds_sum")
    series = {
        'tracekeeper_operation_duration_seconds_sum{namespace="shop",pod="a",kind="llm"}': "0+60x60",
        'tracekeeper_operation_duration_seconds_sum{namespace="shop",pod="a",kind="tool"}': "0+600x60",
    }
    assert not judge(tmp_path, series, query, [{"labels": '{pod="a"}', "value": 4}])


@pytest.mark.parametrize(("values", "result"), [("0+30x60", 4), ("7+0x60", 0), ("_x60", 0)])
def test_keda_gets_one_number_whatever_happens(tmp_path: Path, values: str, result: int) -> None:
    (trigger,) = KEDA["spec"]["triggers"]
    series = {
        f'tracekeeper_requests_total{{namespace="shop",service="agents",pod="{pod}"}}': values for pod in ("a", "b")
    }
    assert not judge(tmp_path, series, trigger["metadata"]["query"], [{"labels": "{}", "value": result}])


def test_a_wrong_result_is_noticed(tmp_path: Path) -> None:
    assert "expr" in judge(tmp_path, {"x": "1x60"}, "x", [{"labels": "x", "value": 2}])

"""What a tenant writes into alerts never sees another namespace: asked of two real Prometheuses, one that knows of the
others and one that does not, it is the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from alert_world import Series, Trial, Unit, compiled, run, steady
from prometheus_process import Prometheuses, RunningPrometheus
from promql_grammar import NAMES, PromQL
from tracekeeper_spec.alert.compiled import AlertRule
from tracekeeper_spec.alert.expression import Matcher
from tracekeeper_spec.alert.raw import confine
from tracekeeper_spec.alert.verify import verify

MALLORY = Matcher("namespace", "=", "mallory")
MINUTES = 60
HOSTILE = (
    "up > 0",
    "x > 0 or vector(1)",
    'x{namespace="shop"}',
    'x{namespace=~".+"}',
    'x{namespace!="mallory"}',
    '{__name__=~".+"}',
    '{namespace="shop"}',
    '{__name__="x",namespace="shop"}',
    "absent(x)",
    'absent(x{pod="secret-1"})',
    "count by (namespace) (x)",
    "sum without (job) (x)",
    "x and on() x",
    "x * on (job) group_left (namespace, pod) x",
    "x unless on () up",
    "max_over_time(rate(x[5m])[30m:1m])",
    "max_over_time(x[30m] offset 5m)",
    "x offset -5m",
    "scalar(x) + up",
    "label_replace(x, 'namespace', 'shop', '', '')",
    "label_join(x, 'namespace', '', 'namespace', 'pod')",
    "count_values('namespace', x)",
    "topk(5, x) or bottomk(5, up)",
    "x{job='a}b'} or x{job=\"{namespace='shop'}\"}",
    "quantile_over_time(scalar(up), x[10m])",
    "vector(scalar(sum(x)))",
    "predict_linear(x[10m], 60) or changes(x[10m])",
)
"""Taken, and kept to the namespace."""
REFUSED = (
    "x @ 1700000000",
    "x @ start()",
    "x # or y",
    'x{namespace="mallory" or namespace="shop"}',
    '{"x"}',
    "x{a=`}`}",
    "x} or y{",
    "by",
    'x{namespace="mallory"}) or (y',
)


def past(namespaces: dict[str, float], begin: float) -> str:
    """The same metrics in each namespace, with values of its own."""
    lines = []
    for name in NAMES:
        metric = name if name != "namespace" else "x_namespace"
        lines.append(f"# TYPE {metric} gauge")
        for namespace, factor in namespaces.items():
            labels = f'namespace="{namespace}",pod="{"secret-1" if namespace == "shop" else "web-1"}",job="j",le="1"'
            lines += [
                f"{metric}{{{labels}}} {factor * (100 + minute)} {begin + minute * 60:.0f}" for minute in range(MINUTES)
            ]
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningPrometheus, RunningPrometheus, float]]:
    """One that knows of all namespaces, one that knows of mallory's alone, and a moment in their past."""
    begin = time.time() // 60 * 60 - 4 * 3600
    found: list[Prometheuses] = []
    running = []
    for namespaces in ({"mallory": 1.0, "shop": 7.0, "tracekeeper": 11.0}, {"mallory": 1.0}):
        world = Prometheuses(tmp_path_factory.mktemp("prometheus"))
        world.remember(past(namespaces, begin))
        found.append(world)
        running.append(world.start({}))
    yield running[0], running[1], begin + (MINUTES - 10) * 60
    for world in found:
        world.end()


def asked(prometheus: RunningPrometheus, expression: str, at: float) -> Any:
    answer = prometheus.get("query", query=expression, time=str(at))
    return answer["resultType"], sorted(answer["result"], key=str)


def asked_as_it_is(prometheus: RunningPrometheus, text: str, at: float) -> Any:
    try:
        return asked(prometheus, text, at)
    except OSError:
        return None


def test_what_was_written_sees_its_own_namespace_alone(
    both: tuple[RunningPrometheus, RunningPrometheus, float],
) -> None:
    everybody, alone, at = both
    random = Random(7)
    texts = [*HOSTILE, *(PromQL(random).text() for _ in range(400))]
    kept = leaky = 0
    for text in texts:
        raw = confine(text, MALLORY)
        if raw.problem is not None:
            assert text not in HOSTILE, (text, raw.problem)
            continue
        try:
            expected = asked(alone, raw.text, at)
        except OSError:
            continue  # It cannot be worked out (several series match one, say), with whatever series.
        assert asked(everybody, raw.text, at) == expected, (text, raw.text)
        kept += 1
        leaky += asked_as_it_is(everybody, text, at) not in (None, expected)
    print(f"{kept} expressions kept to their namespace; {leaky} of them would have seen others")
    assert kept > 100 and leaky > 40


@pytest.mark.parametrize("text", REFUSED)
def test_what_could_be_read_in_another_way_is_refused(text: str) -> None:
    assert confine(text, MALLORY).problem is not None


def test_nobody_speaks_for_another_namespace(tmp_path: Path) -> None:
    forged = "label_replace(label_replace(x, 'namespace', 'shop', '', ''), 'tracekeeper_config', 'shop/agents', '', '')"
    made = compiled({"name": "Forged", "promql": f"{forged} > 0", "severity": "info"}, config="mallory/agents")
    assert not made.faults
    series: list[Series] = [("x", {"namespace": name}, steady(1)) for name in ("mallory", "shop")]
    labels = {
        "namespace": "mallory",
        "severity": "info",
        "tracekeeper_config": "mallory/agents",
        "tracekeeper_metric": "promql",
    }
    run(tmp_path, Trial(made.rules, [Unit("forged", series, "Forged", [labels])]))


@pytest.mark.parametrize(
    "fields",
    [
        {"annotations": {"a": '{{ query `x{namespace="shop"}` | first | value }}'}},
        {"annotations": {"a": "{{ range query `x` }}{{ .Value }}{{ end }}"}},
        {"annotations": {"a": "{{ $value }}{{ with query `x` }}{{ . }}{{ end }}"}},
        {"annotations": {"a": "{{- query `x` -}}"}},
        {"annotations": {"a": "{{{{ $value }}"}},
        {"annotations": {"a": "{{ $labels.x | query }}"}},
        {"annotations": {"a": "{{ $externalLabels.x }}"}},
        {"annotations": {"a": "{{ template `x` }}"}},
        {"annotations": {"a": "{{/* */}}"}},
        {"annotations": {"a": "{{ $value"}},
        {"runbookURL": "https://runbooks.example/{{query`x`}}"},
        {"labels": {"team": "{{ query `x` }}"}},
        {"labels": {"namespace": "shop"}},
        {"labels": {"severity": "critical"}},
        {"labels": {"alertname": "Other"}},
        {"labels": {"tracekeeper_config": "shop/agents"}},
        {"labels": {"tracekeeper_channel": "oncall"}},
        {"labels": {"__name__": "x"}},
    ],
)
def test_what_would_ask_prometheus_or_forge_labels_is_refused(fields: dict[str, Any]) -> None:
    for what in ({"promql": "x > 0"}, {"condition": "error_rate > 0.05"}):
        made = compiled({"name": "Hostile", **what, **fields}, {"name": "Fine", **what}, config="mallory/agents")
        assert [rule.alert for rule in made.rules if isinstance(rule, AlertRule)] == ["Fine"]
        assert {fault.rule for fault in made.faults} == {"Hostile"}


def test_texts_in_conditions_stay_texts(tmp_path: Path) -> None:
    for text in ('a"} or x{b="', "{{ query `x` }}", "a`b", "a\\nb", '\\", namespace="shop'):
        condition = f"agent == {text!r} && error_rate > 0.05".replace("'", '"') if '"' not in text else None
        condition = condition or f"agent == '{text}' && error_rate > 0.05"
        made = compiled({"name": "X", "condition": condition}, config="mallory/agents")
        for rule in made.rules:
            assert isinstance(rule, AlertRule)
            assert verify(rule.expr, MALLORY) == ""
        run(tmp_path, Trial(made.rules))

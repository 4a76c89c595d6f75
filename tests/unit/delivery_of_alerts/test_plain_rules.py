"""Files of rules for a Prometheus without its operator: promtool takes them, and each keeps its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import promtool
from tracekeeper_operator.alerts.plain_rules import MAPS, MOST, pack, rule_file, rule_key
from tracekeeper_spec.alert.compile import compile_alerts
from tracekeeper_spec.alert.compiled import AlertRule, Links, RecordingRule
from tracekeeper_spec.parse import parse_spec

ODD = 'yes: "no" \\ {{ $labels.agent }}\n\u2028\x85 \U0001f525 # 12:30 ~'
RULES = (
    RecordingRule("tracekeeper:requests:rate10m", "sum by (namespace) (rate(x[10m]))", {"on": "1e3"}),
    RecordingRule("tracekeeper:other:rate10m", "x"),
    AlertRule(
        "HighErrorRate", 'x{a="\\"yes\\""} > 0.05', 300.0, 0.25, {"severity": "critical", "n": "null"}, {"s": ODD}
    ),
    AlertRule("yes", "x == 0"),
)


def test_promtool_takes_a_file_and_reads_what_was_meant(tmp_path: Path) -> None:
    text = rule_file("tracekeeper/shop/agents", RULES)
    (tmp_path / "rules.yaml").write_text(text)
    code, said = promtool.said(promtool.promtool(), "check", "rules", tmp_path / "rules.yaml")
    assert code == 0 and "4 rules found" in said, said
    (group,) = yaml.safe_load(text)["groups"]
    assert group["name"] == "tracekeeper/shop/agents"
    recording, _, alert, plain = group["rules"]
    assert recording == {"record": RULES[0].record, "expr": RULES[0].expr, "labels": {"on": "1e3"}}
    assert (alert["for"], alert["keep_firing_for"]) == ("5m", "250ms") and alert["annotations"] == {"s": ODD}
    assert plain == {"alert": "yes", "expr": "x == 0", "labels": {}, "annotations": {}}


def test_no_two_configs_have_one_file() -> None:
    long = "a." * 126 + "a"
    names = ["shop/agents", "shop/agents.yaml", "shop.x/agents", f"{'n' * 63}/{long}", f"{'n' * 63}/{long[:-1]}b"]
    keys = {rule_key(name) for name in names[:2] + names[3:]}
    assert len(keys) == 4 and max(map(len, keys)) <= 253 and rule_key("shop/agents") == "shop.agents.yaml"


def test_a_config_stays_where_it_is_whoever_comes_and_goes() -> None:
    files = {f"shop{n}.agents.yaml": "x" * 1000 for n in range(300)}
    all_of_them = pack(files)
    half = pack({key: text for key, text in files.items() if key.endswith("5.agents.yaml")})
    assert set(all_of_them.maps) == set(half.maps) == set(MAPS) and all_of_them.left_out == ()
    assert all(all_of_them.maps[name].keys() >= half.maps[name].keys() for name in MAPS)
    assert min(len(data) for data in all_of_them.maps.values()) > 20


def test_what_there_is_no_room_for_is_left_out_and_named() -> None:
    files = {f"shop{n:02}.agents.yaml": "é" * 200_000 for n in range(20)}
    packed = pack(files)
    placed = [key for data in packed.maps.values() for key in data]
    assert sorted([*placed, *packed.left_out]) == sorted(files)
    # Two of 400 kB in each of eight.
    assert len(placed) == 16 and packed.left_out == tuple(sorted(packed.left_out))
    for data in packed.maps.values():
        assert sum(len(key) + len(text.encode()) for key, text in data.items()) <= MOST


@pytest.mark.parametrize("root", [False, True])
def test_promtool_takes_all_rules_that_come_with_the_product(root: bool, tmp_path: Path) -> None:
    links = Links("https://example.com/runbooks/", "https://traces.example.com/{namespace}?service={service}")
    alerts = parse_spec({"alerts": {}})[0].alerts
    assert alerts is not None
    compiled = compile_alerts(alerts, (), "shop", "agents", root=root, links=links)
    text = rule_file(compiled.group, compiled.rules)
    (tmp_path / "rules.yaml").write_text(text)
    code, said = promtool.said(promtool.promtool(), "check", "rules", tmp_path / "rules.yaml")
    assert code == 0 and f"{len(compiled.rules)} rules found" in said, said
    # Then 150 configs have room, at least.
    assert len(compiled.rules) > 10 and len(text.encode()) < 48_000

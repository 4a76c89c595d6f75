"""`tracekeeper network-policy`: the ways that it opens, and that it opens no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tracekeeper_cli.__main__ import main
from tracekeeper_cli.network_policy import need

SERVICES: dict[tuple[str, str], dict[str, Any]] = {
    ("obs", "tempo"): {
        "spec": {"selector": {"app": "tempo"}, "ports": [{"port": 4317, "targetPort": "otlp"}, {"port": 80}]}
    },
    ("shop", "local"): {"spec": {"selector": {"app": "local"}, "ports": [{"port": 4318, "targetPort": 14318}]}},
    ("obs", "outside"): {"spec": {"ports": [{"port": 4317}]}},
}


def config(*endpoints: str, **sidecar: Any) -> dict[str, Any]:
    backends = [{"name": f"b{i}", "type": "OTLP", "otlp": {"endpoint": each}} for i, each in enumerate(endpoints)]
    return {"spec": {"backends": backends, "sidecar": sidecar}}


def find(namespace: str, name: str) -> Mapping[str, Any] | None:
    return SERVICES.get((namespace, name))


def made(*configs: dict[str, Any]) -> dict[str, Any]:
    return need("shop", configs, "tracekeeper-system", find).policy


def backends(*endpoints: str) -> list[dict[str, Any]]:
    """The ways out to them, without those that every sidecar needs."""
    egress: list[dict[str, Any]] = made(config(*endpoints))["spec"]["egress"]
    return egress[2:]


def space(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def test_it_is_about_injected_pods_and_opens_names_control_and_metrics() -> None:
    spec = made()["spec"]
    assert spec["podSelector"] == {"matchLabels": {"tracekeeper.dev/injected": "true"}}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 14316}]}]
    names, control = spec["egress"]
    assert {(port["protocol"], port["port"]) for port in names["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert names["to"][0]["namespaceSelector"] == space("kube-system")["namespaceSelector"]
    assert control["ports"] == [{"protocol": "TCP", "port": 9444}]
    assert control["to"][0]["namespaceSelector"] == space("tracekeeper-system")["namespaceSelector"]


@pytest.mark.parametrize("host", ["tempo.obs", "tempo.obs.svc", "tempo.obs.svc.cluster.local", "tempo.obs.svc."])
def test_a_service_is_the_pods_behind_it_at_their_own_port(host: str) -> None:
    (way,) = backends(f"https://{host}:4317")
    assert way["to"] == [space("obs") | {"podSelector": {"matchLabels": {"app": "tempo"}}}]
    assert way["ports"] == [{"protocol": "TCP", "port": "otlp"}]


def test_a_name_alone_is_a_service_of_the_namespace() -> None:
    (way,) = backends("http://local:4318")
    assert way["to"] == [space("shop") | {"podSelector": {"matchLabels": {"app": "local"}}}]
    assert way["ports"] == [{"protocol": "TCP", "port": 14318}]


def test_a_service_of_which_nothing_is_known_is_its_whole_namespace() -> None:
    for endpoint in ("https://outside.obs.svc:4317", "https://unknown.obs.svc:4317"):
        (way,) = backends(endpoint)
        assert way["to"] == [space("obs")]
        assert way["ports"] == [{"protocol": "TCP", "port": 4317}]


def test_where_metrics_are_pushed_to_is_a_way_too() -> None:
    pushes = [
        {"name": "jobs", "type": "Pushgateway", "pushgateway": {"endpoint": "http://tempo.obs:80"}},
        {"name": "otlp", "type": "OTLP", "otlp": {"endpoint": "http://local:4318"}},
        {"name": "dog", "type": "StatsD", "statsd": {"endpoint": "10.0.0.7:8125"}},
    ]
    ways = made({"spec": {"metrics": {"push": pushes}}})["spec"]["egress"][2:]
    assert [way["ports"] for way in ways] == [
        [{"protocol": "TCP", "port": 80}],
        [{"protocol": "TCP", "port": 14318}],
        [{"protocol": "UDP", "port": 8125}],
    ]
    assert ways[2]["to"] == [{"ipBlock": {"cidr": "10.0.0.7/32"}}]


@pytest.mark.parametrize(("endpoint", "port"), [("https://traces.example.com/otlp", 443), ("http://example.com", 80)])
def test_a_name_outside_is_any_address_at_that_port_alone(endpoint: str, port: int) -> None:
    (way,) = backends(endpoint)
    assert [peer["ipBlock"]["cidr"] for peer in way["to"]] == ["0.0.0.0/0", "::/0"]
    assert way["ports"] == [{"protocol": "TCP", "port": port}]


@pytest.mark.parametrize(("host", "cidr"), [("192.0.2.7", "192.0.2.7/32"), ("[2001:db8::7]", "2001:db8::7/128")])
def test_an_address_is_that_address(host: str, cidr: str) -> None:
    (way,) = backends(f"https://{host}:4317")
    assert way == {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"protocol": "TCP", "port": 4317}]}


def test_equal_ways_are_there_once_and_every_metrics_port_is_open() -> None:
    spec = made(
        config("http://local:4318", "http://local:4318"), config("http://local:4318", ports={"metrics": 20000})
    )["spec"]
    assert len(spec["egress"]) == 3
    assert [port["port"] for port in spec["ingress"][0]["ports"]] == [14316, 20000]


@pytest.mark.parametrize("spec", [None, 1, {}, {"backends": None}, {"backends": [1, {"otlp": None}, {"otlp": {}}]}])
def test_a_config_with_faults_opens_nothing(spec: Any) -> None:
    assert made({"spec": spec}) == made()


def test_without_a_kubeconfig_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["network-policy", "-n", "shop"]) == 1
    assert "no usable kubeconfig" in capsys.readouterr().err


def test_what_is_printed_is_yaml_with_its_reasons_above() -> None:
    found = need("shop", [config("https://traces.example.com")], "tracekeeper-system", find)
    assert yaml.safe_load(yaml.safe_dump(found.policy)) == found.policy
    assert "traces.example.com:443" in found.ways[-1].to

"""What `tracekeeper doctor` says of NetworkPolicies that shut sidecars in, and the one that it prints to add."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import yaml

from cli_world import SYSTEM, pod, well
from control_api import Api
from control_objects import Object, config
from tracekeeper_cli.__main__ import main

SOURCE = "shop/agents@1"
DENY: Object = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
DNS = {"ports": [{"protocol": "UDP", "port": 53}]}


@pytest.fixture
def api(api: Api) -> Api:
    backends = [{"name": "tempo", "type": "OTLP", "otlp": {"protocol": "GRPC", "endpoint": "http://tempo.obs:4317"}}]
    api.put("tracingconfigs", well(config(backends=backends)))
    api.put("services", service("tempo", "obs"))
    api.put("pods", pod(injected=SOURCE))
    return api


def service(name: str, namespace: str) -> Object:
    ports = [{"port": 4317, "targetPort": 14317}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"selector": {"app": name}, "ports": ports}}


def shut_in(api: Api, name: str = "deny", **spec: Any) -> None:
    api.put("networkpolicies", {"metadata": {"name": name, "namespace": "shop"}, "spec": {**DENY, **spec}})


@pytest.fixture
def said(api: Api, capsys: pytest.CaptureFixture[str]) -> Any:
    """The one finding about the network; None where there is none."""

    async def doctor(*arguments: str) -> dict[str, str] | None:
        await asyncio.to_thread(main, ["doctor", "--json", *arguments])
        body = json.loads(capsys.readouterr().out)
        assert body["unread"] == []
        found = [each for each in body["findings"] if each["reason"] == "NetworkPolicy"]
        assert len(found) <= 1
        return found[0] if found else None

    return doctor


async def test_where_all_is_denied_the_policy_to_add_is_printed_and_helps(api: Api, said: Any) -> None:
    shut_in(api)
    found = await said()
    assert (found["severity"], found["about"]) == ("Warning", "pod shop/care")
    for what in ("(deny)", "to names", f"the control stream, in {SYSTEM}", "tempo.obs:4317", "port 14316"):
        assert what in found["problem"]
    head, _, text = found["next"].partition(":\n")
    assert "kubectl tracekeeper network-policy -n shop" in head
    printed = yaml.safe_load(text)
    assert printed["spec"]["egress"][2]["ports"] == [{"protocol": "TCP", "port": 14317}]
    # The labels of a pod that was really injected.
    made = pod(injected=SOURCE)
    made["metadata"]["labels"]["tracekeeper.dev/injected"] = "true"
    api.put("pods", made)
    api.put("networkpolicies", printed)
    assert await said() is None
    assert await said("-A") is None


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {"matchLabels": {"app": "other"}}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}},
        {"egress": [{}], "ingress": [{}]},
        {"policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {}}]}]},
        {"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]},
        {"policyTypes": ["Egress"], "egress": [DNS, {"ports": [{"port": 4000, "endPort": 20000}]}]},
        {"policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": "tk-metrics"}]}]},
    ],
)
async def test_what_is_not_about_the_pod_or_lets_it_through_is_no_finding(api: Api, said: Any, spec: Object) -> None:
    shut_in(api, **spec)
    assert await said() is None


@pytest.mark.parametrize(
    ("spec", "shut", "open_"),
    [
        ({"egress": [DNS]}, "tempo.obs:4317", "to names"),
        ({"egress": [{"to": [{"podSelector": {}}]}]}, "tempo.obs:4317", "port 4317"),
        ({"egress": [{"ports": [{"port": 14317}]}]}, "the control stream", "tempo.obs"),
        ({"egress": [{"to": [{"ipBlock": {"cidr": "8.8.8.0/24"}}]}]}, "tempo.obs:4317", "port 4317"),
        (
            {"egress": [{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "obs"}}}]}]},
            "the control stream",
            "tempo.obs",
        ),
    ],
)
async def test_only_ways_that_no_rule_opens_are_named(api: Api, said: Any, spec: Object, shut: str, open_: str) -> None:
    shut_in(api, policyTypes=["Egress"], **spec)
    problem = (await said())["problem"]
    assert shut in problem
    assert open_ not in problem
    assert "scrapes" not in problem


async def test_backends_of_the_default_are_ways_too(api: Api, said: Any, capsys: pytest.CaptureFixture[str]) -> None:
    backends = [{"name": "archive", "type": "OTLP", "otlp": {"protocol": "GRPC", "endpoint": "http://192.0.2.7:4317"}}]
    lent: Object = {"allowedNamespaces": {"from": "All"}, "enforced": ["Backends"], "backends": backends}
    api.put("tracingconfigs", well(config("default", SYSTEM, **lent)))
    shut_in(api)
    problem = (await said())["problem"]
    assert "192.0.2.7:4317" in problem and "tempo" not in problem
    assert await asyncio.to_thread(main, ["network-policy"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["spec"]["egress"][-1]["to"] == [{"ipBlock": {"cidr": "192.0.2.7/32"}}]


async def test_a_backend_whose_service_may_not_be_read_may_be_anywhere(api: Api, said: Any) -> None:
    api.fail("GET", "/services/tempo", 403)
    shut_in(api)
    assert "tempo.obs:4317, at any address" in (await said())["problem"]

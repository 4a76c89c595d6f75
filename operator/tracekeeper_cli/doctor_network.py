"""Ways that sidecars need and that NetworkPolicies of their namespace leave shut: pure.

Whether a network enforces policies, and who is behind a selector, cannot be seen from here. So a way counts as open
where any rule might mean it, and what is told of surely is in no rule.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tracekeeper_cli.findings import Finding, Severity
from tracekeeper_cli.network_policy import METRICS_PORT, SPACE, Need
from tracekeeper_cli.world import Object, World, alive, labels, meta, name_of, sidecar

EXPRESSIONS = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
}
"""What a requirement on a label asks, of the label's value or None."""


def of_networks(world: World) -> Iterator[tuple[str, Finding]]:
    """Findings with the namespace that they are about: equal ones are one."""
    for pod in world.pods:
        namespace = str(meta(pod).get("namespace", ""))
        need = world.needs.get(namespace)
        if need is None or sidecar(pod) is None or not alive(pod):
            continue
        policies = [item for item in world.networks if meta(item).get("namespace") == namespace and _selects(item, pod)]
        shut = list(_shut(policies, need, pod, namespace))
        if shut:
            yield namespace, _finding(namespace, name_of(pod), policies, shut, need)


def _finding(namespace: str, pod: str, policies: list[Object], shut: list[str], need: Need) -> Finding:
    found = ", ".join(sorted(str(meta(item).get("name")) for item in policies))
    text = yaml.safe_dump(need.policy, sort_keys=False)
    return Finding(
        Severity.WARNING,
        f"pod {pod}",
        "NetworkPolicy",
        f"where the network enforces NetworkPolicies, those for it ({found}) leave shut what its sidecar needs: "
        + "; ".join(shut),
        f"look at this one and add it (kubectl tracekeeper network-policy -n {namespace} | kubectl apply -f -):\n"
        + "".join(f"    {line}\n" for line in text.splitlines()).rstrip(),
    )


def _shut(policies: list[Object], need: Need, pod: Object, namespace: str) -> Iterator[str]:
    """What no policy opens, in words; nothing where no policy is about that direction."""
    out = [item for item in policies if _is_about(item, "Egress")]
    rules = [rule for item in out for rule in _spec(item).get("egress") or ()]
    if out:
        for way in need.ways:
            wanted, ports = way.rule["to"], way.rule["ports"][:1]  # Of names, what is asked by UDP.
            if not any(_covers(rule, "to", wanted, ports, namespace) for rule in rules):
                yield f"to {way.to}"
    into = [item for item in policies if _is_about(item, "Ingress")]
    rules = [rule for item in into for rule in _spec(item).get("ingress") or ()]
    port = next((each.get("containerPort") for each in (sidecar(pod) or {}).get("ports") or ()), METRICS_PORT)
    if into and not any(_ports(rule, {"protocol": "TCP", "port": port}) for rule in rules):
        yield f"from whoever scrapes its metrics, port {port}"


def _covers(rule: Object, side: str, wanted: list[Object], ports: list[Object], namespace: str) -> bool:
    """Whether a rule might open a way: all of `ports`, to one of those that are wanted."""
    if not all(_ports(rule, port) for port in ports):
        return False
    peers = rule.get(side) or ()
    return not peers or any(_reaches(peer, each, namespace) for peer in peers for each in wanted)


def _ports(rule: Object, wanted: Object) -> bool:
    """Whether a rule lets a port through; one of them may be a name, which only the pod at the other end knows."""
    entries = rule.get("ports") or ()
    return not entries or any(_port(entry, wanted) for entry in entries)


def _port(entry: Object, wanted: Object) -> bool:
    if entry.get("protocol", "TCP") != wanted["protocol"]:
        return False
    first, port = entry.get("port"), wanted["port"]
    if isinstance(first, int) and isinstance(port, int):
        return first <= port <= int(entry.get("endPort") or first)
    return True


def _reaches(peer: Object, wanted: Object, namespace: str) -> bool:
    block = (peer.get("ipBlock") or {}).get("cidr")
    if (target := (wanted.get("ipBlock") or {}).get("cidr")) is not None:
        return block is not None and _overlap(str(block), str(target))
    if block is not None:
        return _may_be_pods(str(block))
    space = wanted["namespaceSelector"]["matchLabels"][SPACE]
    if peer.get("namespaceSelector") is None:
        return bool(space == namespace)
    # Of the labels of other namespaces, their name alone is known.
    named = (peer["namespaceSelector"].get("matchLabels") or {}).get(SPACE, space)
    return bool(named == space)


def _overlap(one: str, other: str) -> bool:
    try:
        first, second = ipaddress.ip_network(one, strict=False), ipaddress.ip_network(other, strict=False)
    except ValueError:
        return True
    return first.version == second.version and first.overlaps(second)


def _may_be_pods(block: str) -> bool:
    try:
        network = ipaddress.ip_network(block, strict=False)
    except ValueError:
        return True
    return network.prefixlen == 0 or network.is_private


def _is_about(policy: Object, direction: str) -> bool:
    """A policy that does not say so is about what comes in, and about what goes out if it has rules for that."""
    spec = _spec(policy)
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return direction in types


def _selects(policy: Object, pod: Object) -> bool:
    selector, found = _spec(policy).get("podSelector") or {}, labels(pod)
    return all(found.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        EXPRESSIONS[each["operator"]](found.get(each["key"]), each.get("values") or ())
        for each in selector.get("matchExpressions") or ()
    )


def _spec(policy: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = policy.get("spec") or {}
    return found

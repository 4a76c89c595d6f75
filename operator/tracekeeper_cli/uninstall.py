"""What an uninstall would remove, and what it would leave: pure."""

from __future__ import annotations

from collections import Counter

from tracekeeper_cli.tables import table
from tracekeeper_cli.world import POLICY_SECRET, Object, World, alive, annotations_of, meta, name_of, sidecar

KEEP = "helm.sh/resource-policy"


def report(world: World, definitions: list[Object]) -> str:
    """As text. `definitions` are CustomResourceDefinitions of ours."""
    kept = [item for item in definitions if annotations_of(item).get(KEEP) == "keep"]
    parts = [_injected(world), _removed(world, definitions, kept), _kept(world, definitions, kept)]
    if world.unread:
        parts.append("\n".join(["Not looked at:", *(f"  - {text}" for text in world.unread)]))
    parts.append("Nothing was changed.")
    return "\n\n".join(parts)


def _injected(world: World) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    for pod in world.pods:
        if sidecar(pod) is None or not alive(pod):
            continue
        makers = world.makers(pod)
        owner = f"{makers[-1].get('kind')} {meta(makers[-1]).get('name')}" if makers else f"Pod {meta(pod).get('name')}"
        counts[str(meta(pod).get("namespace")), owner] += 1
    if not counts:
        return "No pod has a sidecar."
    rows = [[namespace, owner, count] for (namespace, owner), count in sorted(counts.items())]
    return (
        f"{sum(counts.values())} pods still have a sidecar. It goes on with the policy that it has until the pod is "
        "made anew, and then there is none:\n" + table(["NAMESPACE", "OF", "PODS"], rows)
    )


def _removed(world: World, definitions: list[Object], kept: list[Object]) -> str:
    objects = [f"Deployment {name_of(item)}" for item in world.parts]
    objects += [f"MutatingWebhookConfiguration {name_of(item)}" for item in world.mutating]
    objects += [f"ValidatingWebhookConfiguration {name_of(item)}" for item in world.validating]
    lines = [*objects, "and all else of the chart: kubectl get all,secrets,configmaps -n " + world.operator]
    gone = [item for item in definitions if item not in kept]
    if gone:
        many = len(world.configs)
        lines += [f"CustomResourceDefinition {name_of(item)}, and with it {many} TracingConfigs" for item in gone]
        lines += [f"Secret {name}/{POLICY_SECRET}, with the TracingConfigs" for name in _policies(world, owned=True)]
    return "\n".join(["Removed by `helm uninstall`:", *(f"  - {line}" for line in lines)])


def _kept(world: World, definitions: list[Object], kept: list[Object]) -> str:
    lines = []
    if kept:
        lines += [f"CustomResourceDefinition {name_of(item)} (crds.keep)" for item in kept]
        lines += [f"TracingConfig {name_of(item)}" for item in world.configs]
        lines += [
            f"Secret {name}/{POLICY_SECRET}, until its TracingConfigs go" for name in _policies(world, owned=True)
        ]
    lines += [
        f"Secret {name}/{POLICY_SECRET}: kubectl delete secret {POLICY_SECRET} -n {name}, when its pods are done"
        for name in _policies(world, owned=False)
    ]
    lines.append(f"namespace {world.operator}, as Helm keeps namespaces")
    return "\n".join(["Kept:", *(f"  - {line}" for line in lines)])


def _policies(world: World, *, owned: bool) -> list[str]:
    """Namespaces with a policy that goes with its TracingConfigs, or with one that stays."""
    return [
        name
        for name, secret in sorted(world.policies.items())
        if secret is not None and bool(meta(secret).get("ownerReferences")) is owned
    ]

"""What an uninstall would remove, and what it would leave: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tracekeeper_cli.leftovers import lines as told_of
from tracekeeper_cli.tables import table
from tracekeeper_cli.world import POLICY_SECRET, Object, World, alive, annotations_of, meta, name_of, sidecar

KEEP = "helm.sh/resource-policy"
UNTIL = {
    "CustomResourceDefinition": "until the definition is deleted",
    "TracingConfig": "until its TracingConfigs are deleted",
}
"""By the kind of its owner, how long a policy stays. TracingConfigs own those that an operator of before has made."""
WITH = {"CustomResourceDefinition": "with the definition", "TracingConfig": "with the TracingConfigs"}


def report(world: World, definitions: list[Object], left: Iterable[Object]) -> str:
    """As text. `definitions` are CustomResourceDefinitions of ours, `left` is what the operator has written."""
    kept = [item for item in definitions if annotations_of(item).get(KEEP) == "keep"]
    parts = [_injected(world), _removed(world, definitions, kept), _kept(world, definitions, kept, left)]
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
        lines += [f"Secret {name}/{POLICY_SECRET}, {WITH[owner]}" for name, owner in _policies(world) if owner]
    return "\n".join(["Removed by `helm uninstall`:", *(f"  - {line}" for line in lines)])


def _kept(world: World, definitions: list[Object], kept: list[Object], left: Iterable[Object]) -> str:
    lines = []
    if kept:
        lines += [f"CustomResourceDefinition {name_of(item)} (crds.keep)" for item in kept]
        lines += [f"TracingConfig {name_of(item)}" for item in world.configs]
    stay = [(name, owner) for name, owner in _policies(world) if len(kept) == len(definitions) or not owner]
    injected = {str(meta(pod).get("namespace")) for pod in world.pods if sidecar(pod) is not None and alive(pod)}
    for name, owner in stay:
        until = f", {UNTIL[owner]}" if owner else ""
        when = "when its pods are done" if name in injected else "no pod uses it"
        lines.append(f"Secret {name}/{POLICY_SECRET}{until}; {when}: kubectl delete secret {POLICY_SECRET} -n {name}")
    lines += told_of(left, keeps_definition=len(kept) == len(definitions))
    lines.append(f"namespace {world.operator}, as Helm keeps namespaces")
    text = "\n".join(["Kept:", *(f"  - {line}" for line in lines)])
    if stay:
        text += (
            "\n\nThese Secrets hold the credentials of backends, also such as other namespaces have lent. Nobody "
            "renews or takes\nback what is in them once the operator is gone. When no pod has a sidecar any more, "
            f"all of them at once:\n  kubectl delete secrets -A --field-selector metadata.name={POLICY_SECRET}"
        )
    return text


def _policies(world: World) -> list[tuple[str, str]]:
    """Namespaces with a policy, and the kind of what it is deleted with; empty where it stays."""
    found = []
    for name, secret in sorted(world.policies.items()):
        if secret is not None:
            kinds = {str(owner.get("kind")) for owner in meta(secret).get("ownerReferences") or ()}
            found.append((name, next((kind for kind in UNTIL if kind in kinds), "")))
    return found

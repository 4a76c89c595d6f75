"""What the operator has written besides policies, and an uninstall leaves where it is: how it is found, and told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracekeeper_cli.objects import Objects
from tracekeeper_cli.world import POLICY_SECRET, Object, meta, name_of

WRITTEN = "app.kubernetes.io/managed-by=tracekeeper"
"""Selects what the operator writes of its own accord."""
DEFINITION = "CustomResourceDefinition"
CONFIG = "tracekeeper.dev/alerts-of"
"""An annotation: the config that it is for."""
ABOUT = (
    ("ConfigMap", "tracekeeper-budgets-", "what was spent of budgets, with which another installation goes on"),
    ("ConfigMap", "tracekeeper-rules-", "rules, which Prometheus goes on evaluating"),
    ("Secret", "tracekeeper-alertmanager", "Alertmanager's file, with credentials of channels"),
)
"""Kind, beginning of the name, and what it holds; names of others are not ours."""


def leftovers(objects: Objects) -> list[Object]:
    """Those of the whole cluster, each with its `kind`; of ConfigMaps and Secrets the metadata alone."""
    found: list[Object] = []
    for plural, kind in (("configmaps", "ConfigMap"), ("secrets", "Secret")):
        items = objects.all_of(plural, labels=WRITTEN)
        found += [{**item, "kind": kind} for item in items if meta(item).get("name") != POLICY_SECRET]
    routes = objects.monitoring("alertmanagerconfigs", "v1alpha1", WRITTEN) or ()
    found += [{**item, "kind": "AlertmanagerConfig"} for item in routes]
    return found


def lines(found: Iterable[Object], *, keeps_definition: bool) -> Iterator[str]:
    """A line for each that stays, with the command that deletes it. Kubernetes deletes what belongs to a TracingConfig,
    or to their definition, together with that."""
    for item in found:
        kind = str(item.get("kind"))
        owners = {str(each.get("kind")) for each in meta(item).get("ownerReferences") or ()}
        if kind == "AlertmanagerConfig":
            if owners and (DEFINITION not in owners or not keeps_definition):
                continue
            of = (meta(item).get("annotations") or {}).get(CONFIG, "a TracingConfig of the root namespace")
            about = f"routes of the channels of {of}" + (", until the definition is deleted" if owners else "")
        else:
            about = next((text for of, begin, text in ABOUT if (of, begin) == (kind, _begin(item, begin))), "")
        if about:
            command = f"kubectl delete {kind.lower()} {meta(item).get('name')} -n {meta(item).get('namespace')}"
            yield f"{kind} {name_of(item)}, {about}: {command}"


def _begin(item: Object, like: str) -> str:
    return str(meta(item).get("name"))[: len(like)]

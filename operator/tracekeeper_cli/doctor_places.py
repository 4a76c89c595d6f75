"""Annotations and labels where nobody looks for them, and namespaces without a policy: pure."""

from __future__ import annotations

from collections.abc import Iterator

from tracekeeper_cli.findings import Finding, Severity
from tracekeeper_cli.missing import Cause, annotated_namespace, excluded_namespace, misplaced_on, odd_label
from tracekeeper_cli.world import INJECT, World, alive, annotations_of, labels, meta, name_of, sidecar


def of_places(world: World) -> Iterator[Finding]:
    """Of workloads and namespaces."""
    for workload in world.workloads:
        if (cause := misplaced_on(workload)) is not None:
            yield _finding(f"{workload.get('kind')} {name_of(workload)}", cause)
    for name, namespace in world.namespaces.items():
        said = labels(namespace).get(INJECT, "false")
        if said not in ("true", "false"):
            yield _finding(f"namespace {name}", odd_label(name, said))
        elif said == "true" and name in world.excluded:
            yield _finding(f"namespace {name}", excluded_namespace(name))
        elif annotations_of(namespace).get(INJECT, "false") != "false" and not world.opted_in(name):
            yield _finding(f"namespace {name}", annotated_namespace(name))
    waiting = {str(meta(pod).get("namespace")) for pod in world.pods if alive(pod) and sidecar(pod) is not None}
    for name in sorted(waiting):
        if name in world.policies and world.policies[name] is None:
            yield Finding(
                Severity.ERROR,
                f"namespace {name}",
                "NoPolicySecret",
                "there is no Secret tracekeeper-policy, by which sidecars work: they store spans and wait for it",
                f"kubectl get tcfg -n {name} says whether the controller could write it; then look at the controller",
            )


def _finding(about: str, cause: Cause) -> Finding:
    return Finding(Severity.ERROR, about, cause.reason, cause.problem, cause.next)

"""What `tracekeeper doctor` finds: pure, from one look at the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from tracekeeper_cli.doctor_configs import of_configs
from tracekeeper_cli.doctor_network import of_networks
from tracekeeper_cli.doctor_operator import of_operator
from tracekeeper_cli.doctor_places import of_places
from tracekeeper_cli.doctor_scrapes import of_scrapes
from tracekeeper_cli.exporters import strays
from tracekeeper_cli.findings import Finding, Severity, grouped, in_order
from tracekeeper_cli.missing import applying, causes, labelled, wants
from tracekeeper_cli.world import Object, World, alive, meta, name_of, sidecar, sidecar_status

GRAVE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CrashLoopBackOff"})
FAILING = GRAVE | {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "ImageInspectError"}
OFTEN = 3
"""Restarts of a sidecar that are more than an accident."""


def examine(world: World, now: float) -> list[Finding]:
    """All findings, the worst first. `now` is Unix time."""
    return in_order(
        [
            *of_operator(world, now),
            *of_configs(world, now),
            *of_scrapes(world),
            *of_places(world),
            *grouped(_of_pods(world)),
            *grouped(of_networks(world)),
        ],
    )


def _of_pods(world: World) -> Iterator[tuple[str, Finding]]:
    for pod in world.pods:
        if not alive(pod):
            continue
        makers = world.makers(pod)
        # ReplicaSets change with each version of a Deployment; what they belong to does not.
        owner = f"{makers[-1].get('kind')} {name_of(makers[-1])}" if makers else name_of(pod)
        found = _injected(world, pod) if sidecar(pod) is not None else _missed(world, pod)
        for finding in found:
            yield owner, finding


def _missed(world: World, pod: Object) -> Iterator[Finding]:
    if not wants(pod, world):
        if (cause := labelled(pod)) is not None:
            text = f"no sidecar: {cause.problem}"
            yield Finding(Severity.ERROR, f"pod {name_of(pod)}", cause.reason, text, cause.next)
        return
    # The operator's own troubles are told once, of the operator.
    found = [each for each in causes(world, pod) if each.reason not in ("InjectorNotReady", "NoWebhook")]
    for cause in found[:1]:
        yield Finding(Severity.ERROR, f"pod {name_of(pod)}", cause.reason, f"no sidecar: {cause.problem}", cause.next)


def _injected(world: World, pod: Object) -> Iterator[Finding]:
    about, name = f"pod {name_of(pod)}", meta(pod).get("name")
    where = f"-n {meta(pod).get('namespace')}"
    status = sidecar_status(pod)
    waiting = (status.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in FAILING:
        yield Finding(
            Severity.ERROR,
            about,
            "SidecarDoesNotRun",
            f"{waiting.get('reason')}: {waiting.get('message', '')}".rstrip(": "),
            f"kubectl describe pod {name} {where}",
        )
    last = ((status.get("lastState") or {}).get("terminated") or {}).get("reason")
    if last == "OOMKilled" or int(status.get("restartCount") or 0) >= OFTEN:
        memory = "raise spec.sidecar.resources.limits.memory" if last == "OOMKilled" else "see what it said last"
        yield Finding(
            Severity.WARNING,
            about,
            "SidecarRestarts",
            f"its sidecar was restarted {status.get('restartCount')} times, last because of {last or 'an error'}",
            f"{memory}: kubectl logs {name} {where} -c tracekeeper-sidecar --previous",
        )
    if applying(world.scope(str(meta(pod).get("namespace"))), pod) is None:
        yield Finding(
            Severity.ERROR,
            about,
            "NoPolicy",
            "no valid TracingConfig applies to it: its spans are stored and wait",
            f"kubectl tracekeeper explain pod {name} {where}",
        )
    for stray in strays(pod):
        yield Finding(stray.severity, about, "OwnExporter", stray.problem, stray.next)

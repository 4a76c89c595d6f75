"""What `tracekeeper explain` says of one pod: which configs, what comes of them, and what runs instead. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekeeper_cli.levels import Choice, choose
from tracekeeper_cli.missing import Cause, causes, ports, wants
from tracekeeper_cli.tables import table
from tracekeeper_cli.world import (
    IMAGE,
    INJECT,
    RESOLVED_FROM,
    SIDECAR_IMAGE,
    SIDECAR_VERSION,
    Object,
    World,
    alive,
    annotations_of,
    meta,
    name_of,
    sidecar,
    sidecar_status,
)
from tracekeeper_spec.resolve import check_resolved, resolve
from tracekeeper_spec.units import format_quantity

OVERRIDES = ("cpu-request", "cpu-limit", "memory-request", "memory-limit", "buffer-size", "image")


def explanation(world: World, pod: Object) -> str:
    """As text, for a person."""
    choice = choose(world, pod)
    parts = [_head(world, pod), _configs(choice)]
    if choice.sections:
        parts.append(table(["SECTION", "FROM"], sorted(choice.sections.items())))
    parts.append(_made(world, pod, choice))
    troubles = differences(world, pod, choice)
    if sidecar(pod) is not None:
        title = "What runs differs:" if troubles else "What runs is what would be injected now."
    else:
        title = "There is no sidecar:"
    parts.append(
        "\n".join([title, *(f"  - {each.reason}: {each.problem}\n    next: {each.next}" for each in troubles)])
    )
    if world.unread:
        parts.append("\n".join(["Not looked at:", *(f"  - {text}" for text in world.unread)]))
    return "\n\n".join(parts)


def differences(world: World, pod: Object, choice: Choice) -> list[Cause]:
    """What runs and would not come about again; why there is no sidecar, where there is none."""
    if sidecar(pod) is None:
        return causes(world, pod)
    return list(_differences(world, pod, choice))


def _head(world: World, pod: Object) -> str:
    makers = world.makers(pod)
    of = f", of {makers[-1].get('kind')} {meta(makers[-1]).get('name')}" if makers else ""
    state = "has a sidecar" if sidecar(pod) is not None else "has no sidecar"
    asked = annotations_of(pod).get(INJECT)
    if asked is not None:
        why = f'its annotation {INJECT} is "{asked}"'
    elif world.opted_in(str(meta(pod).get("namespace"))):
        why = f"its namespace is labelled {INJECT}=true"
    else:
        why = "nobody has asked for one"
    return f"Pod {name_of(pod)}{of} {state}; {why}."


def _configs(choice: Choice) -> str:
    if not choice.rows:
        return "There is no TracingConfig for it, in its namespace or in the root namespace: spans would wait on disk."
    rows = [[row.config, row.level, "yes" if row.applies else "no", row.why] for row in choice.rows]
    return table(["TRACINGCONFIG", "LEVEL", "APPLIES", "WHY"], rows)


def _made(world: World, pod: Object, choice: Choice) -> str:
    """What an injection would make now."""
    if not wants(pod, world):
        return "Nothing would be injected now."
    spec = resolve(choice.held.spec)
    notes = annotations_of(pod)
    storage, amounts = spec.sidecar.storage, spec.sidecar.resources
    rows = [
        ["image", _image(world, choice, notes) or "not known: the operator's Deployments cannot be read"],
        ["ports", ", ".join(f"{use} {port}" for port, use in ports(spec, {} if _enforced(choice) else notes).items())],
        ["resources", f"requests {_amounts(amounts.requests)}; limits {_amounts(amounts.limits)}"],
        ["buffer", f"{storage.type}, {format_quantity(storage.size)}"],
        ["backends", ", ".join(f"{each.name} ({each.otlp.endpoint})" for each in spec.backends) or "none"],
    ]
    if choice.merged is not None and choice.merged.suspended:
        rows.append(
            ["suspended", "by " + ", ".join(name.namespace + "/" + name.name for name in choice.merged.suspended)]
        )
    if own := [f"{key}={notes[f'tracekeeper.dev/{key}']}" for key in OVERRIDES if f"tracekeeper.dev/{key}" in notes]:
        rows.append(["overridden", ", ".join(own)])
        if note := _not_followed(world, choice, notes):
            rows.append(["not followed", note])
    if choice.merged is not None:
        rows += [["lacks", str(fault)] for fault in check_resolved(resolve(choice.merged.spec))]
    return "What would be injected now (a LimitRange or a quota may still change resources):\n" + table(
        ["WHAT", "VALUE"], rows
    )


def _image(world: World, choice: Choice, notes: Mapping[str, str]) -> str:
    """That of the sidecar; the pod's own wish only where it is followed."""
    wish = notes.get(IMAGE, "").strip()
    return wish if wish and not _not_followed(world, choice, notes) else world.image


def _not_followed(world: World, choice: Choice, notes: Mapping[str, str]) -> str:
    """Why annotations that change the sidecar are not followed; empty where they are."""
    by = choice.held.enforcer
    if by is not None:
        return f"none of these: {by.namespace}/{by.name} enforces spec.sidecar, for single pods too"
    wish = notes.get(IMAGE, "").strip()
    if wish and not any(wish.startswith(f"{each}/") for each in world.registries):
        return "image: from nowhere that the chart's value sidecar.imageRegistries allows"
    return ""


def _enforced(choice: Choice) -> bool:
    """Whether the sidecar is as the default says, whatever pods say."""
    return choice.held.enforcer is not None


def _amounts(found: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in found.items()) or "none"


def _differences(world: World, pod: Object, choice: Choice) -> Iterator[Cause]:
    notes, name = annotations_of(pod), name_of(pod)
    again = "restart the pod when it suits you; until then it goes on as it is"
    if not alive(pod):
        yield Cause("PodEnded", "the pod has ended, or is about to", "look at one that runs")
    if not wants(pod, world):
        yield Cause("NotWantedAnyMore", "nobody asks for its sidecar any more", again)
    was, now = notes.get(RESOLVED_FROM, ""), ",".join(choice.merged.sources) if choice.merged is not None else "none"
    if was != now:
        yield Cause(
            "ResolvedFrom",
            f"it was injected from {was or 'nothing that is known'}, and {now} would be used now. Backends, sampling "
            "and all else but spec.sidecar reload live",
            f"if spec.sidecar has changed, restart it; kubectl get tcfg -n {meta(pod).get('namespace')} says how many "
            "sidecars are current",
        )
    wanted = _image(world, choice, notes)
    runs = str((sidecar(pod) or {}).get("image", notes.get(SIDECAR_IMAGE, "")))
    if wanted and runs != wanted:
        yield Cause("OutdatedImage", f"its sidecar's image is {runs}, and {wanted} would be used now", again)
    version = notes.get(SIDECAR_VERSION, "")
    if world.version and version and version != world.version:
        yield Cause("OutdatedVersion", f"it was injected by {version}, and the operator is {world.version}", again)
    spec = resolve(choice.held.spec)
    declared = {port.get("containerPort") for port in (sidecar(pod) or {}).get("ports") or ()}
    if declared and not declared <= ports(spec, {} if _enforced(choice) else notes).keys():
        yield Cause("Ports", f"its sidecar declares {sorted(declared)}, which are others now", again)
    if waiting := (sidecar_status(pod).get("state") or {}).get("waiting"):
        yield Cause(
            "SidecarDoesNotRun",
            f"{waiting.get('reason', '')}: {waiting.get('message', '')}".rstrip(": "),
            f"kubectl describe pod -n {name.replace('/', ' ')}",
        )

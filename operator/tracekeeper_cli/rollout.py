"""What `rollout status` says of a TracingConfig, and what `rollout undo` makes of it: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracekeeper_cli.errors import CLIError

Object = Mapping[str, Any]
ELSEWHERE = "If this config comes from version control (Argo CD, Flux, Helm), change it there too, or it comes back."


@dataclass(frozen=True, slots=True)
class Undone:
    manifest: dict[str, Any]
    """To be written in place of the config; refused by the API server if somebody has changed it meanwhile."""
    message: str


def phase(config: Object) -> str:
    """`Progressing`, `Halted`, `Complete`; `Unseen` while the operator has not seen the newest generation, `Behind`
    where what it tells of is an older one, empty for a config without a section `rollout`.
    """
    generation = _meta(config).get("generation")
    if _status(config).get("observedGeneration", 0) != generation:
        return "Unseen"
    found = _rollout(config)
    if found and found.get("generation") != generation:
        return "Behind"
    return str(found.get("phase", ""))


def described(config: Object) -> str:
    """For people: how the newest generation comes to the pods."""
    name, now = _called(config), phase(config)
    if now == "Unseen":
        return f"{name}: the operator has not seen generation {_meta(config).get('generation')} yet"
    if not now:
        return f"{name} has no section spec.rollout: a changed policy comes to all pods at once"
    found = _rollout(config)
    tried, effective = found.get("generation"), found.get("effective")
    if now == "Behind":
        return (
            f"{name}: generation {_meta(config).get('generation')} is not rolled out: generation {tried} is"
            f" {found.get('phase')}, generation {effective} in effect\n"
            f"  if it stays so, its conditions say why: kubectl describe tracingconfig {name_of(config)}"
        )
    lines = [f"{name}: {now} since {found.get('since')} ({found.get('reason')})"]
    if now == "Progressing" and found.get("reason") == "WaitingForNamespaces":
        lines.append(f"  generation {tried} is not in all namespaces yet")
    elif now == "Progressing":
        lines.append(
            f"  generation {tried} is tried by {found.get('canaries', 0)} pods, {found.get('ready', 0)} run it"
        )
        lines.append(f"  generation {effective} is in effect for all others")
    elif now == "Halted":
        lines.append(f"  generation {tried} was taken back, generation {effective} is in effect for all pods")
    else:
        lines.append(f"  generation {effective} is in effect for all pods")
    lines.append(f"  {found.get('message')}")
    before = found.get("previous")
    if isinstance(before, Mapping):
        lines.append(
            f"  next: to go back to generation {before.get('generation')}: tracekeeper rollout undo {name_of(config)}"
        )
    return "\n".join(lines)


def undo(config: Object) -> Undone:
    """What to write to go back. Raises CLIError where that is not known."""
    name, now = _called(config), phase(config)
    generation = _meta(config).get("generation")
    if now == "Unseen":
        raise CLIError(
            f"the operator has not seen generation {generation} of {name} yet: is it up? Try again in a moment"
        )
    if not now:
        raise CLIError(
            f"{name} has no section spec.rollout, so nobody kept what it said before: take that from version control"
        )
    before = _rollout(config).get("previous")
    if not isinstance(before, Mapping):
        raise CLIError(f"nothing is known that {name} said before and that worked: take it from version control")
    if not isinstance(before.get("spec"), Mapping):
        raise CLIError(f"generation {before.get('generation')} of {name} was too large to be kept in its status")
    meta = {key: value for key, value in _meta(config).items() if key != "managedFields"}
    manifest = {key: value for key, value in config.items() if key != "status"}
    manifest |= {"metadata": meta, "spec": dict(before["spec"])}
    return Undone(
        manifest, f"{name} says again what it said as generation {before.get('generation')}. {_effect(config)}"
    )


def _effect(config: Object) -> str:
    found = _rollout(config)
    match found.get("phase"):
        case "Halted":
            text = f"That is what all pods run already, since generation {found.get('generation')} was taken back."
        case "Progressing":
            text = f"The pods that try generation {found.get('generation')} go back to it, all others have it."
        case _:
            text = "Some pods try it first, as any change: see `tracekeeper rollout status`."
    return f"{text}\n{ELSEWHERE}"


def name_of(config: Object) -> str:
    return str(_meta(config).get("name", ""))


def _called(config: Object) -> str:
    return f"TracingConfig {_meta(config).get('namespace')}/{name_of(config)}"


def _meta(config: Object) -> Mapping[str, Any]:
    return _mapping(config.get("metadata"))


def _status(config: Object) -> Mapping[str, Any]:
    return _mapping(config.get("status"))


def _rollout(config: Object) -> Mapping[str, Any]:
    return _mapping(_status(config).get("rollout"))


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}

"""Where the containers of an injected pod send their traces, by the OTEL_ variables that they have: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tracekeeper_cli.findings import Severity
from tracekeeper_cli.world import CONTAINER, Object, containers, sidecar

ENDPOINT, GENERAL_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL, GENERAL_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
EXPORTER, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"
SAMPLER, RATIO = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
FILES = ("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE")
"""By which an SDK is told to read a file, and no other variable."""
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
LISTENS = {"--grpc-listen": "grpc", "--http-listen": "http"}
PORTS = {"grpc": 4317, "http": 4318}
TAKE_AWAY = "take the variable away if that is not meant"


@dataclass(frozen=True, slots=True)
class Stray:
    """One thing that keeps a container's spans from the sidecar."""

    severity: Severity
    problem: str
    next: str


def strays(pod: Object) -> Iterator[Stray]:
    """Of all containers. What comes by `valueFrom` and `envFrom` is not looked up."""
    ports = _ports(pod)
    for container in containers(pod):
        if container.get("name") == CONTAINER:
            continue
        found = {str(each.get("name")): str(each.get("value") or "") for each in container.get("env") or ()}
        elsewhere = {str(each.get("name")) for each in container.get("env") or () if each.get("valueFrom")}
        for stray in _strays(found, elsewhere, ports):
            yield Stray(stray.severity, f"container {container.get('name')} {stray.problem}", stray.next)


def _strays(found: Mapping[str, str], elsewhere: set[str], ports: Mapping[str, int]) -> Iterator[Stray]:
    for name in FILES:
        if name in found:
            problem = f"sets {name}: its SDK goes by that file and by no other variable, the sidecar's address included"
            grpc, http = (f"http://127.0.0.1:{ports[kind]}" for kind in ("grpc", "http"))
            yield Stray(Severity.WARNING, problem, f"have the file export traces to {http}, or by gRPC to {grpc}")
            return
    if silent := _silent(found):
        yield Stray(Severity.WARNING, f"sets {silent}: it makes no spans", TAKE_AWAY)
        return
    kinds = [each.strip() for each in found.get(EXPORTER, "").split(",") if each.strip()]
    if kinds and "otlp" not in kinds:
        problem = f"sets {EXPORTER}={found[EXPORTER]}: its spans do not go to the sidecar"
        yield Stray(Severity.WARNING, problem, "set it to otlp, or take it away if that is not meant")
        return
    yield from _endpoint(found, elsewhere, ports)


def _silent(found: Mapping[str, str]) -> str:
    """The variable by which an application makes no spans; empty where there is none."""
    for name, value in ((DISABLED, "true"), (EXPORTER, "none")):
        if found.get(name, "").strip().lower() == value:
            return f"{name}={value}"
    sampler = found.get(SAMPLER, "").strip().lower().removeprefix("parentbased_")
    if sampler == "always_off":
        return f"{SAMPLER}={found[SAMPLER]}"
    if sampler == "traceidratio" and _number(found.get(RATIO, "")) == 0.0:
        return f"{SAMPLER}={found[SAMPLER]} with {RATIO}={found[RATIO]}"
    return ""


def _endpoint(found: Mapping[str, str], elsewhere: set[str], ports: Mapping[str, int]) -> Iterator[Stray]:
    name = ENDPOINT if ENDPOINT in found else GENERAL_ENDPOINT
    if name in elsewhere:
        problem = f"takes {name} from elsewhere (valueFrom): whether its spans go to the sidecar is not known here"
        yield Stray(Severity.NOTE, problem, TAKE_AWAY)
        return
    endpoint = found.get(name, "").strip()
    if not endpoint:
        return
    host, port = _address(endpoint)
    if host not in LOCAL:
        yield Stray(Severity.WARNING, f"sets {name}={endpoint}: its spans do not go to the sidecar", TAKE_AWAY)
        return
    protocol = (found.get(PROTOCOL) or found.get(GENERAL_PROTOCOL) or "").strip().lower()
    kind = "" if not protocol else "grpc" if protocol == "grpc" else "http"
    wanted = [ports[kind]] if kind else list(ports.values())
    if port is not None and port not in wanted:
        by = f" by {protocol}" if protocol else ""
        takes = " or ".join(f"{number} ({each})" for each, number in ports.items() if not kind or each == kind)
        problem = f"sends{by} to port {port} ({name}={endpoint}), where the sidecar does not take that"
        yield Stray(Severity.WARNING, problem, f"the sidecar's port is {takes}; or {TAKE_AWAY}")


def _ports(pod: Object) -> dict[str, int]:
    """Where the sidecar of a pod listens, as its command line says."""
    found = dict(PORTS)
    for argument in (sidecar(pod) or {}).get("args") or ():
        flag, _, value = str(argument).partition("=")
        port = value.rpartition(":")[2]
        if flag in LISTENS and port.isascii() and port.isdigit():
            found[LISTENS[flag]] = int(port)
    return found


def _address(endpoint: str) -> tuple[str, int | None]:
    """Host and port; exporters for gRPC take endpoints without a scheme, too."""
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        return (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "", None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

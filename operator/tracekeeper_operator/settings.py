"""What the two processes are told: flags, each of which may also come from the environment. A flag wins."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tracekeeper_spec.texts import DNS_LABEL, DNS_SUBDOMAIN
from tracekeeper_spec.units import parse_duration

from . import names
from .alerts.flags import FLAGS, read_alerts
from .alerts.options import NO_ALERTS, AlertOptions
from .alerts.scraping import Annotate
from .certs import LIVES, Lives
from .errors import SettingsError
from .lease import MOST as MOST_LEASE
from .lease import TERMS, Terms
from .pods.options import NO_PODS, PodOptions
from .storage import EVERYWHERE, NOWHERE, HostPaths

LEVELS = ("Debug", "Info", "Warning", "Error")
BOOLEANS = ("true", "false")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    """Empty for every address of every family."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """`tracekeeper-operator controller`."""

    namespace: str
    """The operator's own namespace, where the certificate is kept."""
    service: str
    """The injector's Service, which the certificate names."""
    mutating_webhook: str
    validating_webhook: str
    metrics_listen: Address
    resync_seconds: float
    """How often Secrets are read again and drift is repaired; the default of 60 bounds how long a rotated
    credential takes to arrive."""
    log_level: str
    host_paths: HostPaths = NOWHERE
    control_service: str = ""
    """The Service that leads sidecars and people to the control stream; empty where there is none."""
    control_listen: Address = Address("", names.CONTROL_PORT)
    lease: str = names.LEASE
    """The Lease whose holder leads; all others stand by."""
    terms: Terms = TERMS
    pod: str = ""
    """The pod that this process runs in, which gets a label while it leads; empty where there is none."""
    lives: Lives = LIVES
    """Of the certificates that it makes."""
    root_namespace: str = ""
    """Where the defaults of the whole cluster are; empty where there are none."""
    pods: PodOptions = NO_PODS
    alerts: AlertOptions = NO_ALERTS


@dataclass(frozen=True, slots=True)
class InjectorSettings:
    """`tracekeeper-operator injector`."""

    namespace: str
    sidecar_image: str
    sidecar_pull_policy: str
    listen: Address
    metrics_listen: Address
    log_level: str
    host_paths: HostPaths = NOWHERE
    image_registries: tuple[str, ...] = ()
    """What an image that a pod's annotation names must begin with, up to a slash."""
    pull_secrets: tuple[str, ...] = ()
    """Names that are added to injected pods' imagePullSecrets."""
    root_namespace: str = ""
    scrape_annotations: Annotate = Annotate.AUTO
    """Whether pods say by annotations where the sidecar is scraped."""


Settings = ControllerSettings | InjectorSettings


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read the command line. Raises SettingsError naming the flag; SystemExit for --help and unknown
    flags.
    """
    options = _parser(environ).parse_args(arguments)
    namespace = _needed(options.namespace, "--namespace", "TRACEKEEPER_NAMESPACE")
    metrics_listen = _read(options.metrics_listen, "--metrics-listen", parse_address)
    log_level = _one_of(options.log_level, "--log-level", LEVELS)
    host_paths = _host_paths(options.host_path, options.host_path_namespaces)
    if options.command == "controller":
        return ControllerSettings(
            namespace=namespace,
            service=options.service,
            mutating_webhook=options.mutating_webhook,
            validating_webhook=options.validating_webhook,
            metrics_listen=metrics_listen,
            resync_seconds=_read(options.resync, "--resync", _resync),
            log_level=log_level,
            host_paths=host_paths,
            control_service=_service(options.control_service),
            control_listen=_read(options.control_listen, "--control-listen", parse_address),
            lease=options.lease,
            terms=_read(options.lease_duration, "--lease-duration", _terms),
            pod=options.pod,
            lives=_lives(options.authority_life, options.certificate_life),
            root_namespace=_namespace(options.root_namespace or namespace, "--root-namespace"),
            pods=_pods(namespace, options),
            alerts=read_alerts(options, namespace, options.root_namespace or namespace, options.lease),
        )
    return InjectorSettings(
        namespace=namespace,
        sidecar_image=_needed(options.sidecar_image, "--sidecar-image", "TRACEKEEPER_SIDECAR_IMAGE"),
        sidecar_pull_policy=_one_of(options.sidecar_pull_policy, "--sidecar-pull-policy", PULL_POLICIES),
        listen=_read(options.listen, "--listen", parse_address),
        metrics_listen=metrics_listen,
        log_level=log_level,
        host_paths=host_paths,
        image_registries=tuple(text.rstrip("/") for text in _listed(options.image_registries)),
        pull_secrets=_secrets(options.pull_secrets),
        scrape_annotations=Annotate(_one_of(options.scrape_annotations, "--scrape-annotations", tuple(Annotate))),
        root_namespace=_namespace(options.root_namespace or namespace, "--root-namespace"),
    )


def parse_address(text: str) -> Address:
    """`host:port`, with IPv6 addresses in brackets; `:port` is every address. Raises ValueError."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not host:port, for example 127.0.0.1:8080 or, for every address, :8080")
    return Address(host.strip("[]"), int(port))


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tracekeeper-operator",
        description="Tracekeeper's control plane. Every flag may be set as TRACEKEEPER_<FLAG> in the environment.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    controller = commands.add_parser("controller", help="publish TracingConfigs to the sidecars; one replica leads")
    injector = commands.add_parser("injector", help="put sidecars beside opted-in pods; any number of replicas")

    def flag(target: argparse.ArgumentParser, name: str, default: str | None, text: str) -> None:
        variable = "TRACEKEEPER_" + name.upper().replace("-", "_")
        note = f" (default: {default})" if default is not None else ""
        target.add_argument(f"--{name}", default=environ.get(variable) or default, help=text + note)

    for command in (controller, injector):
        flag(command, "namespace", None, "the operator's own namespace")
        flag(
            command, "root-namespace", "", "where the whole cluster's default TracingConfigs are; that of the operator"
        )
        flag(command, "metrics-listen", ":8080", "plain HTTP: /metrics, /healthz, /readyz")
        flag(command, "log-level", "Info", "Debug, Info, Warning or Error")
        flag(command, "host-path", "", "folder on every node for buffers of storage type HostPath")
        flag(command, "host-path-namespaces", "", "where that type is allowed, separated by commas; * is everywhere")
    flag(controller, "service", "tracekeeper-injector", "the injector's Service; the certificate names it")
    flag(controller, "mutating-webhook", "tracekeeper-injector", "MutatingWebhookConfiguration to give trust")
    flag(controller, "validating-webhook", "tracekeeper-validator", "ValidatingWebhookConfiguration likewise")
    flag(controller, "control-service", "", "the control stream's Service; without one there is no control stream")
    flag(controller, "control-listen", f":{names.CONTROL_PORT}", "gRPC with TLS: sidecars, and what people ask for")
    flag(controller, "resync", "60s", "how often Secrets are read again and drift is repaired")
    flag(controller, "lease", names.LEASE, "the Lease in that namespace whose holder leads; the others stand by")
    flag(controller, "lease-duration", "15s", "how long the others wait for a leader that is not heard of any more")
    flag(controller, "pod", "", "the pod that this runs in, which is labelled while it leads")
    flag(controller, "authority-life", "17520h", "how long an authority lives; renewed when a third is left")
    flag(controller, "certificate-life", "2160h", "how long a certificate lives; renewed when a third is left")
    flag(controller, "sidecar-image", "", "the injected sidecars' image; without it, nothing is done about images")
    flag(controller, "sidecar-pull-policy", "IfNotPresent", "with which the pre-flight pod tries it, too")
    flag(controller, "preflight-pull-secrets", "", "Secrets by which that pod pulls it, separated by commas")
    flag(controller, "excluded-namespaces", "", "where no pod is ever injected, separated by commas")
    flag(controller, "sweep", "5m", "how often all pods are looked at, for those without a sidecar")
    flag(controller, "eviction", "false", "whether sidecar.repair: Evict is allowed")
    flag(controller, "image-updates", "false", "whether sidecars may get another image in place")
    for name, default, text in FLAGS:
        flag(controller, name, default, text)
    flag(injector, "sidecar-image", None, "the image of the injected sidecar")
    flag(injector, "sidecar-pull-policy", "IfNotPresent", "Always, IfNotPresent or Never")
    flag(
        injector, "image-registries", "", "what images named by pods' annotations must begin with, separated by commas"
    )
    flag(injector, "pull-secrets", "", "Secrets added to the imagePullSecrets of injected pods, separated by commas")
    flag(injector, "scrape-annotations", "Auto", "on injected pods: Always, Never, or Auto where are no PodMonitors")
    flag(injector, "listen", ":9443", "HTTPS: /mutate, /mutate/namespace, /validate")
    return parser


def _needed(value: str | None, flag: str, variable: str) -> str:
    if not value:
        raise SettingsError(flag, f"is required (or set {variable})")
    return value


def _namespace(name: str, flag: str) -> str:
    if not (re.fullmatch(DNS_LABEL.pattern, name) and len(name) <= DNS_LABEL.max_length):
        raise SettingsError(flag, f"{name!r} is no name of a namespace")
    return name


def _host_paths(path: str, namespaces: str) -> HostPaths:
    allowed = _listed(namespaces)
    for name in allowed:
        if name != EVERYWHERE and not re.fullmatch(DNS_LABEL.pattern, name):
            raise SettingsError("--host-path-namespaces", f"{name!r} is neither a namespace's name nor {EVERYWHERE}")
    if allowed and not path:
        raise SettingsError("--host-path", "is required where --host-path-namespaces names a namespace")
    if path and (not path.startswith("/") or ".." in path.split("/")):
        raise SettingsError("--host-path", f"{path!r} is not an absolute path without ..")
    return HostPaths(path, allowed)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _secrets(text: str) -> tuple[str, ...]:
    for name in _listed(text):
        if re.fullmatch(DNS_SUBDOMAIN.pattern, name) is None:
            raise SettingsError("--pull-secrets", f"{name!r} is no name of a Secret")
    return _listed(text)


def _pods(namespace: str, options: argparse.Namespace) -> PodOptions:
    return PodOptions(
        namespace=namespace,
        image=options.sidecar_image,
        pull_policy=_one_of(options.sidecar_pull_policy, "--sidecar-pull-policy", PULL_POLICIES),
        pull_secrets=_listed(options.preflight_pull_secrets),
        excluded=frozenset(_listed(options.excluded_namespaces)),
        eviction=_one_of(options.eviction, "--eviction", BOOLEANS) == "true",
        updates=_one_of(options.image_updates, "--image-updates", BOOLEANS) == "true",
        period=_read(options.sweep, "--sweep", _resync),
    )


def _one_of(value: str, flag: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise SettingsError(flag, f"{value!r} is none of {', '.join(allowed)}")
    return value


def _read(value: str, flag: str, reader: Callable[[str], T]) -> T:
    try:
        return reader(value)
    except ValueError as error:
        raise SettingsError(flag, str(error)) from error


def _service(name: str) -> str:
    if name and not (re.fullmatch(DNS_LABEL.pattern, name) and len(name) <= DNS_LABEL.max_length):
        raise SettingsError("--control-service", f"{name!r} is no name of a Service")
    return name


def _resync(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"{text} is too often; the least is 1s")
    return seconds


def _terms(text: str) -> Terms:
    seconds = parse_duration(text)
    if not 3 <= seconds <= MOST_LEASE:
        raise ValueError(f"{text} is not from 3s to {MOST_LEASE:g}s")
    return Terms(seconds)


def _lives(authority: str, certificate: str) -> Lives:
    seconds = _read(authority, "--authority-life", parse_duration)
    try:
        return Lives.of(seconds, _read(certificate, "--certificate-life", parse_duration))
    except ValueError as error:
        raise SettingsError("--certificate-life", str(error)) from error

"""The two operators that bench/control_plane.py measures, as far as they differ: what is asked of them, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from control_plane_load import CONFIGS, config

from cluster import fixtures, images
from cluster.node import Cluster

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Process:
    """One of an operator's processes: its address, and its number on this machine."""

    role: str
    address: str
    pid: int


@dataclass(frozen=True, slots=True)
class Side:
    """An operator that runs."""

    name: str
    processes: Mapping[str, Process]
    """By role; `injector` answers the API server's questions about pods."""
    configs: str
    """Path of its configs in the API, `{}` in place of the namespace."""
    listed: str
    """Path of all of them."""
    config: Callable[[], Object]
    ready: Callable[[Object], bool]
    """Whether such a config's status says that it is in force."""
    opt_in: Mapping[str, str]
    """A pod's annotations."""
    container: str
    """The sidecar's name."""
    webhook: str
    """URL for questions about pods."""
    metrics: str
    """URL."""
    asked: str
    """The counter of questions about pods, as the metrics name it."""
    labels: str = ""
    """What its labels contain, if it counts others as well."""
    streams: bool = False
    """Whether sidecars stay connected to it."""

    @property
    def injector(self) -> Process:
        return self.processes["injector"]


def ours(cluster: Cluster) -> Side:
    """Install the chart with one controller and one injector; images are built first."""
    built = images.build_project(fixtures.project_version())
    images.load(cluster, *built.values())
    for role in ("controller", "injector"):
        cluster.apply(flow_schema(role, fixtures.SYSTEM, f"{fixtures.RELEASE}-{role}"))
    fixtures.install(cluster, "--set", "injector.replicas=1")
    processes = {role: _process(cluster, role) for role in ("controller", "injector")}
    address = processes["injector"].address
    return Side(
        name="tracekeeper",
        processes=processes,
        configs=f"{CONFIGS}/namespaces/{{}}/tracingconfigs",
        listed=f"{CONFIGS}/tracingconfigs",
        config=config,
        ready=_ready,
        opt_in={"tracekeeper.dev/inject": "true"},
        container="tracekeeper-sidecar",
        webhook=f"https://{address}:9443/mutate",
        metrics=f"http://{address}:8080/metrics",
        asked="tracekeeper_injector_admissions_total",
        streams=True,
    )


def _process(cluster: Cluster, role: str) -> Process:
    selector = f"app.kubernetes.io/component={role}"
    (item,) = cluster.get("pods", "-l", selector, namespace=fixtures.SYSTEM)["items"]
    pid = cluster.container_pid(fixtures.SYSTEM, item["metadata"]["name"], role)
    return Process(role, item["status"]["podIP"], pid)


def _ready(item: Object) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def flow_schema(role: str, namespace: str, account: str) -> Object:
    """Has the API server count one service account's requests by themselves, with the priority that it has anyway."""
    subject = {"kind": "ServiceAccount", "serviceAccount": {"name": account, "namespace": namespace}}
    anything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": f"bench-{role}"},
        "spec": {
            "priorityLevelConfiguration": {"name": "workload-low"},
            "matchingPrecedence": 500,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [subject],
                    "resourceRules": [anything],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }
            ],
        },
    }

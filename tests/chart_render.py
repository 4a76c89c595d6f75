"""The chart as the real `helm` renders it, for the tests of the chart."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from cluster import binaries

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts/tracekeeper"
CI = sorted((CHART / "ci").glob("*-values.yaml"))
DEFAULT = CHART / "ci/default-values.yaml"
NAMESPACE = "tracekeeper-system"

Object = dict[str, Any]
Helm = Callable[..., "subprocess.CompletedProcess[str]"]


def helm_program() -> Helm:
    """Runs helm with the arguments that it is called with."""
    built = binaries.folder() / "helm"
    program = str(built) if built.exists() else shutil.which("helm")
    assert program, "there is no helm: `make setup` builds one, any Helm 3 on the PATH will do"

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=50)

    return run


def render(helm: Helm, *options: str | Path, release: str = "tracekeeper", version: str = "1.30.0") -> list[Object]:
    done = helm("template", release, CHART, "--namespace", NAMESPACE, "--kube-version", version, *options)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def refusal(helm: Helm, *options: str | Path, version: str = "1.30.0") -> str:
    done = helm("template", "tracekeeper", CHART, "--namespace", NAMESPACE, "--kube-version", version, *options)
    assert done.returncode != 0, "the chart was expected to refuse this"
    return done.stderr


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [found for found in objects if found["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [candidate for candidate in of_kind(objects, kind) if candidate["metadata"]["name"] == name]
    return found


def pod_specs(objects: list[Object]) -> Iterator[Object]:
    for found in of_kind(objects, "Pod"):
        yield found["spec"]
    for found in of_kind(objects, "Deployment", "Job", "DaemonSet", "StatefulSet"):
        yield found["spec"]["template"]["spec"]


def rules(objects: list[Object]) -> Iterator[Object]:
    for role in of_kind(objects, "Role", "ClusterRole"):
        yield from role["rules"]


def restrictions_missing(spec: Object) -> list[str]:
    """What Pod Security's level "restricted", and a read-only root filesystem, would find wrong with a pod."""
    pod = spec.get("securityContext", {})
    faults = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        faults.append("seccompProfile")
    if pod.get("runAsNonRoot") is not True or not pod.get("runAsUser"):
        faults.append("runAsNonRoot")
    faults += [
        f"volume {v['name']}" for v in spec.get("volumes", []) if not set(v) & {"emptyDir", "secret", "projected"}
    ]
    for container in spec["containers"] + spec.get("initContainers", []):
        context = container.get("securityContext", {})
        expected = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        faults += [f"{container['name']}: {key}" for key, value in expected.items() if context.get(key) != value]
        faults += [f"{container['name']}: {key}" for key in context if key not in expected]
        faults += [f"{container['name']}: hostPort" for port in container.get("ports", []) if "hostPort" in port]
    return faults

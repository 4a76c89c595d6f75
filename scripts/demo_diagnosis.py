"""Why does a pod not run? What kubectl knows about it, as lines for people, with the commands to look further."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from demo_cluster import Kube

EVENTS = 6
LOG_LINES = 8
HOPELESS = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
}


def diagnose(kube: Kube, namespace: str, selector: str) -> list[str]:
    """For each pod of a label selector: what is not ready and why, its newest events, its last lines, what to type."""
    good, text = kube.try_kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json")
    if not good:
        return ["the cluster itself does not answer:", *text.splitlines()[-4:], f"next: {kube.prefix}kubectl get nodes"]
    pods = json.loads(text)["items"]
    if not pods:
        lines = [f"no pod with label {selector} in namespace {namespace}: was it refused?"]
        return lines + _events(kube, namespace, "") + [f"next: {kube.prefix}kubectl -n {namespace} get events"]
    lines = []
    for pod in pods:
        name = str(pod["metadata"]["name"])
        troubles = container_troubles(pod)
        if not troubles:
            continue
        lines.append(f"pod {namespace}/{name} is {pod['status'].get('phase', 'unknown')}:")
        for container, trouble in troubles.items():
            lines.append(f"  {container}: {trouble}")
            lines += [f"    {line}" for line in _logs(kube, namespace, name, container)]
        lines += _events(kube, namespace, name)
        lines.append(f"next: {kube.prefix}kubectl -n {namespace} describe pod {name}")
        lines.append(f"      {kube.prefix}kubectl -n {namespace} logs {name} --all-containers")
    return lines or [f"every pod with label {selector} says it is ready: {kube.prefix}kubectl -n {namespace} get pods"]


def container_troubles(pod: Mapping[str, Any]) -> dict[str, str]:
    """Containers that are not ready, and why, in the order in which they start. Pure: from the pod's status alone."""
    status = pod.get("status", {})
    found = {}
    for entry in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        state = entry.get("state", {})
        ended = state.get("terminated") or {}
        if entry.get("ready") or ended.get("exitCode") == 0:
            continue
        found[str(entry["name"])] = _reason(state, entry.get("lastState", {}).get("terminated"))
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            found["scheduling"] = condition.get("message", "not scheduled")
    return found


def hopeless(pod: Mapping[str, Any]) -> bool:
    """Whether a container waits for something that will not come by itself."""
    status = pod.get("status", {})
    entries = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return any(entry.get("state", {}).get("waiting", {}).get("reason") in HOPELESS for entry in entries)


def _reason(state: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
    if waiting := state.get("waiting"):
        text = f"waiting: {waiting.get('reason', '')} {waiting.get('message', '')}".strip()
    elif ended := state.get("terminated"):
        text = f"ended with exit code {ended.get('exitCode')} ({ended.get('reason', '')})"
    else:
        text = "runs, but is not ready: its probe does not pass"
    return f"{text}; before that it ended with exit code {last.get('exitCode')}" if last else text


def _logs(kube: Kube, namespace: str, pod: str, container: str) -> list[str]:
    good, text = kube.try_kubectl("logs", "-n", namespace, pod, "-c", container, f"--tail={LOG_LINES}")
    return [f"│ {line}" for line in text.splitlines()] if good else []


def _events(kube: Kube, namespace: str, pod: str) -> list[str]:
    chosen = ["--field-selector", f"involvedObject.name={pod}"] if pod else []
    good, text = kube.try_kubectl("get", "events", "-n", namespace, *chosen, "--sort-by=.lastTimestamp", "--no-headers")
    return [f"  event: {' '.join(line.split())}" for line in text.splitlines()[-EVENTS:]] if good else []

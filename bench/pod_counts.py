"""What it costs the controller to count pods: 2,000 of them in 20 namespaces with 10 TracingConfigs each.

    .venv/bin/python bench/pod_counts.py

prints the CPU seconds of the first count, when every policy is new, and of the next ones, when nothing has changed.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from tracekeeper_operator.access import Access
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.plan import Plan
from tracekeeper_operator.pods.options import PodOptions
from tracekeeper_operator.pods.service import PodService
from tracekeeper_operator.pods.telling import Alone
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry

NAMESPACES, CONFIGS, PODS = 20, 10, 2000
AGAIN = 10


def entry(namespace: str, number: int) -> PolicyEntry:
    spec = {
        "selector": {"matchLabels": {"app": f"app-{number}"}},
        "backends": [{"name": "a", "type": "OTLP", "otlp": {"protocol": "GRPC", "endpoint": "https://tempo.obs:4317"}}],
    }
    name = f"config-{number}"
    return PolicyEntry(name, namespace, f"{namespace}-{name}", 1, "2026-01-01T00:00:00Z", spec)


def pod(namespace: str, number: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"pod-{number}",
            "namespace": namespace,
            "uid": f"uid-{namespace}-{number}",
            "labels": {"app": f"app-{number % CONFIGS}", "tracekeeper.dev/injected": "true", "pod": str(number)},
            "annotations": {"tracekeeper.dev/inject": "true", "tracekeeper.dev/sidecar-image": "sidecar:1"},
        }
    }


async def answers() -> bool:
    return True


async def main() -> None:
    kube, clock = Kube(Access("http://127.0.0.1:1")), SystemClock()
    service = PodService(
        kube,
        PodOptions("tk", image="sidecar:1"),
        lambda pod, namespace, by_namespace, bounds: True,
        Alone(),
        answers,
        lambda namespace: None,
        lambda notice: None,
        clock,
        ControllerMetrics(),
    )
    spaces = [f"space-{number}" for number in range(NAMESPACES)]
    service.index.replace(pod(space, number) for space in spaces for number in range(PODS // NAMESPACES))
    for space in spaces:
        document = PolicyDocument(1, tuple(entry(space, number) for number in range(CONFIGS)), namespace=space)
        service.planned(Plan(space, (), document, write=False, delete=False))
    service._findings.complete = True  # as after a sweep, for which there is no API server here
    first, later = await cpu(service), [await cpu(service) for _ in range(AGAIN)]
    print(json.dumps({"first_cpu_s": round(first, 4), "later_cpu_s": round(sum(later) / AGAIN, 4)}))


async def cpu(service: PodService) -> float:
    begin = time.process_time()
    await service.teller.measure()
    return time.process_time() - begin


asyncio.run(main())

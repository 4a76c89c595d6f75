"""What the operator costs on a real API server: 200 TracingConfigs, 2,000 injected pods, then rest.

    sudo .venv/bin/python bench/control_plane.py [--configs 200] [--pods 2000] [--rate 50] [--rest 120] [--keep]

Starts a Kubernetes of its own (tests/cluster), builds the images, installs the chart with one controller and injector,
and measures their processes: CPU, anonymous memory, answers, requests to the API server, which counts them itself, by a
FlowSchema for our service accounts. Some 8 minutes once the images are built. Writes bench/results/control_plane.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from control_plane_load import (
    CONFIGS,
    Api,
    admissions,
    api_server,
    config,
    namespace_name,
    paced,
    pod,
    quantile,
    scrape,
    secret,
    together,
)
from machine import machine, sentence
from procfs import anonymous_bytes, cpu_seconds

from cluster import fixtures, images, netns
from cluster.node import Cluster

RESULTS = Path(__file__).resolve().parent / "results"
ROLES = ("controller", "injector")
SETTLE = 30.0
"""Seconds after the last change before what goes on counts as rest."""
LATEST = 300.0
STATUS_EVERY = 0.2
CHANGES = 20
"""Configs that are changed, one after the other, to see how soon sidecars could have the new policy."""
MOST_PODS = 32
"""Under way at a time: an API server that shares two cores with all else is not to be asked for more than it can do."""
UNASKED = 500
"""Pods that do not opt in."""


@dataclass(frozen=True, slots=True)
class Process:
    """One of the operator's processes: its pod's address, and its number on this machine."""

    role: str
    address: str
    pid: int


def processes(cluster: Cluster) -> dict[str, Process]:
    """The controller and the injector that run now."""
    found = {}
    for role in ROLES:
        selector = f"app.kubernetes.io/component={role}"
        (item,) = cluster.get("pods", "-l", selector, namespace=fixtures.SYSTEM)["items"]
        name = item["metadata"]["name"]
        pid = cluster.container_pid(fixtures.SYSTEM, name, role)
        found[role] = Process(role, item["status"]["podIP"], pid)
    return found


def flow_schema(role: str) -> dict[str, Any]:
    """Has the API server count one service account's requests by themselves, with the priority that it has anyway."""
    name = f"{fixtures.RELEASE}-{role}"
    account = {"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": fixtures.SYSTEM}}
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
                    "subjects": [account],
                    "resourceRules": [anything],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }
            ],
        },
    }


def summary(seconds: list[float]) -> dict[str, float]:
    """Milliseconds: median, 99 of 100, the longest."""
    cuts = quantiles(seconds, n=100)
    return {
        "p50_ms": round(median(seconds) * 1e3, 2),
        "p99_ms": round(cuts[98] * 1e3, 2),
        "max_ms": round(max(seconds) * 1e3, 2),
    }


class Bench:
    """The phases, in their order; each returns its figures."""

    def __init__(self, api: Api, running: dict[str, Process], options: argparse.Namespace) -> None:
        self._api, self._running, self._options = api, running, options

    async def run(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"memory_at_start_mb": self._memory()}
        for name, phase in (
            ("configs", self._configs),
            ("change", self._change),
            ("injected", self._pods),
            ("not_opted_in", self._others),
            ("answers", self._answers),
            ("rest", self._rest),
        ):
            print(f"{name} …", flush=True)
            figures[name] = await phase()
            print(f"  {json.dumps(figures[name])}", flush=True)
        figures["memory_mb"] = self._memory()
        return figures

    async def _configs(self) -> dict[str, Any]:
        """From the first TracingConfig to when all say that they are published."""
        count = self._options.configs
        names = [namespace_name(number) for number in range(count)]
        await together(self._api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}}) for name in names)
        await together(self._api.ask("POST", f"/api/v1/namespaces/{name}/secrets", secret()) for name in names)
        controller = self._running["controller"]
        before, cpu, begin = await scrape(controller.address), cpu_seconds(controller.pid), time.monotonic()
        await together(self._api.ask("POST", f"{CONFIGS}/namespaces/{name}/tracingconfigs", config()) for name in names)
        created = time.monotonic() - begin
        while (ready := await self._ready()) < count:
            if time.monotonic() - begin > LATEST:
                raise RuntimeError(f"{ready} of {count} TracingConfigs are Ready after {LATEST:.0f} s")
            await asyncio.sleep(STATUS_EVERY)
        after = await scrape(controller.address)
        rounds = "tracekeeper_controller_reconcile_seconds"
        return {
            "configs": count,
            "created_s": round(created, 2),
            "all_ready_s": round(time.monotonic() - begin, 2),
            "cpu_ms_each": round((cpu_seconds(controller.pid) - cpu) / count * 1e3, 2),
            "round_p50_below_s": quantile(before, after, rounds, 0.5),
            "round_p99_below_s": quantile(before, after, rounds, 0.99),
        }

    async def _ready(self) -> int:
        listed = await self._api.ask("GET", f"{CONFIGS}/tracingconfigs")
        return sum(
            any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in item.get("status", {}).get("conditions", ())
            )
            for item in listed["items"]
        )

    async def _change(self) -> dict[str, float]:
        """From the answer to a change until the namespace's policy Secret holds it."""
        took = []
        for number in range(min(CHANGES, self._options.configs)):
            name = namespace_name(number)
            path = f"/api/v1/namespaces/{name}/secrets/tracekeeper-policy"
            version = (await self._api.ask("GET", path))["metadata"]["resourceVersion"]
            spec = config("https://other.obs:4317")["spec"]
            target = f"{CONFIGS}/namespaces/{name}/tracingconfigs/agents"
            await self._api.ask("PATCH", target, {"spec": spec}, "application/merge-patch+json")
            begin = time.monotonic()
            while (await self._api.ask("GET", path))["metadata"]["resourceVersion"] == version:
                if time.monotonic() - begin > LATEST:
                    raise RuntimeError(f"the policy of {name} did not change within {LATEST:.0f} s")
                await asyncio.sleep(0.005)
            took.append(time.monotonic() - begin)
        return {"changes": len(took), "median_ms": round(median(took) * 1e3, 1), "max_ms": round(max(took) * 1e3, 1)}

    async def _pods(self) -> dict[str, Any]:
        """Opted-in pods through the API server."""
        count = self._options.pods
        figures = await self._create(count, opted_in=True)
        listed = await self._api.ask("GET", "/api/v1/pods?labelSelector=app%3Dagent")
        sidecars = sum(
            any(one["name"] == "tracekeeper-sidecar" for one in item["spec"].get("initContainers", ()))
            for item in listed["items"]
        )
        return {"pods": count, "with_sidecar": sidecars, **figures}

    async def _others(self) -> dict[str, Any]:
        """Pods that did not ask, through the API server."""
        return {"pods": UNASKED, **await self._create(UNASKED, opted_in=False)}

    async def _create(self, count: int, *, opted_in: bool) -> dict[str, Any]:
        kind = "agent" if opted_in else "other"
        injector = self._running["injector"]

        async def create(number: int) -> None:
            space = namespace_name(number % self._options.configs)
            made = pod(f"{kind}-{number}", opted_in=opted_in)
            made["metadata"]["labels"] = {"app": kind}
            await self._api.ask("POST", f"/api/v1/namespaces/{space}/pods", made)

        before, cpu, begin = await scrape(injector.address), cpu_seconds(injector.pid), time.monotonic()
        took = await paced(count, self._options.rate, create, MOST_PODS)
        seconds, after = time.monotonic() - begin, await scrape(injector.address)
        asked = "tracekeeper_injector_admissions_total"
        histogram = "tracekeeper_injector_admission_seconds"
        figures = {
            "admissions": int(after.get(asked, 0.0) - before.get(asked, 0.0)),
            "pods_per_s": round(count / seconds, 1),
            "injector_cpu_ms_each": round((cpu_seconds(injector.pid) - cpu) / count * 1e3, 3),
            "api_server": summary(took),
        }
        if opted_in:
            figures["injector_p50_below_ms"] = quantile(before, after, histogram, 0.5) * 1e3
            figures["injector_p99_below_ms"] = quantile(before, after, histogram, 0.99) * 1e3
        return figures

    async def _answers(self) -> dict[str, Any]:
        """The injector alone, asked as the API server asks: until the whole answer, TLS and HTTP included."""
        injector, rate = self._running["injector"], self._options.rate
        count = int(rate * 20)
        await admissions(injector.address, 20, rate, self._options.configs)
        cpu = cpu_seconds(injector.pid)
        took = await admissions(injector.address, count, rate, self._options.configs)
        each = (cpu_seconds(injector.pid) - cpu) / count
        return {"asked": count, "per_s": rate, "cpu_ms_each": round(each * 1e3, 3), **summary(took)}

    async def _rest(self) -> dict[str, Any]:
        """Nothing changes: requests to the API server, and CPU."""
        await asyncio.sleep(SETTLE)
        seconds = self._options.rest
        cpu = {role: cpu_seconds(one.pid) for role, one in self._running.items()}
        before = {role: await self._api.dispatched(f"bench-{role}") for role in ROLES}
        begin = time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - begin
        after = {role: await self._api.dispatched(f"bench-{role}") for role in ROLES}
        return {
            "seconds": round(took),
            "requests_per_minute": {role: round((after[role] - before[role]) / took * 60, 1) for role in ROLES},
            "cpu_percent": {
                role: round((cpu_seconds(one.pid) - cpu[role]) / took * 100, 2) for role, one in self._running.items()
            },
        }

    def _memory(self) -> dict[str, float]:
        return {role: round(anonymous_bytes(one.pid) / 1e6, 1) for role, one in self._running.items()}


async def measure(cluster: Cluster, running: dict[str, Process], options: argparse.Namespace) -> dict[str, Any]:
    async with api_server(cluster.kubeconfig) as api:
        return await Bench(api, running, options).run()


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--configs", type=int, default=200, help="TracingConfigs, each in a namespace of its own")
    found.add_argument("--pods", type=int, default=2000, help="opted-in pods, spread over the namespaces")
    found.add_argument("--rate", type=float, default=50.0, help="pods, and admission requests, a second")
    found.add_argument("--rest", type=float, default=120.0, help="seconds of rest that are measured")
    found.add_argument(
        "--cluster", default="tracekeeper-bench", help="name of the cluster; one of that name is removed first"
    )
    found.add_argument("--keep", action="store_true", help="leave the cluster as it is afterwards")
    return found


def main() -> int:
    options = parser().parse_args()
    cluster = Cluster(options.cluster)
    cluster.down()  # What an earlier run has left would be counted, too.
    cluster.up()
    try:
        built = images.build_project(fixtures.project_version())
        images.load(cluster, *built.values())
        for role in ROLES:
            cluster.apply(flow_schema(role))
        fixtures.install(cluster, "--set", "injector.replicas=1")
        running = processes(cluster)
        limit = LATEST * 4 + options.rest
        figures = netns.inside(options.cluster, lambda: asyncio.run(measure(cluster, running, options)), timeout=limit)
    finally:
        if not options.keep:
            cluster.down()
    report = {"machine": machine(), **figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "control_plane.json").write_text(json.dumps(report, indent=2) + "\n")
    print(sentence(report["machine"]))
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What operators cost on a real API server, ours and OpenTelemetry's: 200 configs, 2,000 injected pods, then rest.

    sudo .venv/bin/python bench/control_plane.py [--only ours|theirs] [--configs 200] [--pods 2000] [--rest 120]

Each side has a Kubernetes of its own (tests/cluster). Ours is installed by its chart, with one controller and one
injector; the other (`control_plane_peer.py`) is built from its Go module first, some 10 minutes once. Then the same is
asked of both: configs in a namespace each, pods that opt in, pods that do not, questions as the API server asks them.
Their processes are measured: CPU, anonymous memory, answers; requests are counted by the API server itself, by a
FlowSchema for their service accounts. Some 7 minutes a side. Writes bench/results/control_plane.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import control_plane_streams
from control_plane_load import Api, admissions, api_server, counted, namespace_name, paced, pod, secret, together
from control_plane_peer import theirs
from control_plane_sides import Side, ours
from control_plane_table import lines
from machine import machine, sentence
from procfs import anonymous_bytes, cpu_seconds

from cluster import netns
from cluster.errors import ClusterError
from cluster.node import Cluster

RESULTS = Path(__file__).resolve().parent / "results"
SETTLE = 30.0
"""Seconds after the last change before what goes on counts as rest."""
LATEST = 300.0
LOOK_EVERY = 5.0
"""Seconds between two looks at whether something is still under way; fewer than one request a second is rest."""
STATUS_EVERY = 0.2
CHANGES = 20
"""Configs that are changed, one after the other, to see how soon sidecars could have the new policy."""
MOST_PODS = 32
"""Under way at a time: an API server that shares two cores with all else is not to be asked for more than it can do."""
UNASKED = 500
"""Pods that do not opt in."""
NOTHING = {"example.com/note": "nothing of ours"}


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

    def __init__(self, api: Api, side: Side, options: argparse.Namespace) -> None:
        self._api, self._side, self._options = api, side, options

    async def run(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"memory_at_start_mb": self._memory()}
        phases = {
            "configs": self._configs,
            "change": self._change,
            "injected": self._pods,
            "not_opted_in": self._others,
            "answers": self._answers,
            "rest": self._rest,
            "streams": self._streams,
        }
        if not self._side.streams:
            del phases["change"], phases["streams"]
        for name, phase in phases.items():
            print(f"{self._side.name}: {name} …", flush=True)
            figures[name] = await phase()
            if name == "rest":
                figures["memory_mb"] = self._memory()
            print(f"  {json.dumps(figures[name])}", flush=True)
        return figures

    async def _configs(self) -> dict[str, Any]:
        """From the first config to when all are in force."""
        count, side = self._options.configs, self._side
        names = [namespace_name(number) for number in range(count)]
        await together(self._api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}}) for name in names)
        await together(self._api.ask("POST", f"/api/v1/namespaces/{name}/secrets", secret()) for name in names)
        cpu, begin = self._cpu(), time.monotonic()
        await together(self._api.ask("POST", side.configs.format(name), side.config()) for name in names)
        created = time.monotonic() - begin
        while (ready := sum(map(side.ready, (await self._api.ask("GET", side.listed))["items"]))) < count:
            if time.monotonic() - begin > LATEST:
                raise RuntimeError(f"{ready} of {count} configs are in force after {LATEST:.0f} s")
            await asyncio.sleep(STATUS_EVERY)
        return {
            "configs": count,
            "created_s": round(created, 2),
            "all_ready_s": round(time.monotonic() - begin, 2),
            "cpu_ms_each": round((self._cpu() - cpu) / count * 1e3, 2),
        }

    async def _change(self) -> dict[str, float]:
        """From the answer to a change until the namespace's policy Secret holds it."""
        took = []
        for number in range(min(CHANGES, self._options.configs)):
            name = namespace_name(number)
            path = f"/api/v1/namespaces/{name}/secrets/tracekeeper-policy"
            version = (await self._api.ask("GET", path))["metadata"]["resourceVersion"]
            backends = self._side.config()["spec"]["backends"]
            backends[0]["otlp"]["endpoint"] = "https://other.obs:4317"
            target = f"{self._side.configs.format(name)}/agents"
            await self._api.ask("PATCH", target, {"spec": {"backends": backends}}, "application/merge-patch+json")
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
        figures = await self._create(count, "agent")
        listed = await self._api.ask("GET", "/api/v1/pods?labelSelector=app%3Dagent")
        sidecars = sum(
            any(
                one["name"] == self._side.container
                for one in [*item["spec"].get("initContainers", ()), *item["spec"]["containers"]]
            )
            for item in listed["items"]
        )
        return {"pods": count, "with_sidecar": sidecars, **figures}

    async def _others(self) -> dict[str, Any]:
        """Pods that did not ask, through the API server."""
        await self._settled()
        return {"pods": UNASKED, **await self._create(UNASKED, "other")}

    async def _create(self, count: int, kind: str) -> dict[str, Any]:
        side = self._side

        async def create(number: int) -> None:
            space = namespace_name(number % self._options.configs)
            made = pod(f"{kind}-{number}", side.opt_in if kind == "agent" else NOTHING, kind)
            await self._api.ask("POST", f"/api/v1/namespaces/{space}/pods", made)

        before, cpu, begin = await self._asked(), cpu_seconds(side.injector.pid), time.monotonic()
        took = await paced(count, self._options.rate, create, MOST_PODS)
        return {
            "pods_per_s": round(count / (time.monotonic() - begin), 1),
            "admissions": round(await self._asked() - before),
            "injector_cpu_ms_each": round((cpu_seconds(side.injector.pid) - cpu) / count * 1e3, 3),
            "api_server": summary(took),
        }

    async def _asked(self) -> float:
        return await counted(self._side.metrics, self._side.asked, self._side.labels)

    async def _answers(self) -> dict[str, Any]:
        """The injector alone, asked as the API server asks: until the whole answer, TLS and HTTP included."""
        side, rate, spaces = self._side, self._options.rate, self._options.configs
        count = int(rate * 20)
        await admissions(side.webhook, side.opt_in, 20, rate, spaces)
        cpu = cpu_seconds(side.injector.pid)
        took = await admissions(side.webhook, side.opt_in, count, rate, spaces)
        each = (cpu_seconds(side.injector.pid) - cpu) / count
        return {"asked": count, "per_s": rate, "cpu_ms_each": round(each * 1e3, 3), **summary(took)}

    async def _rest(self) -> dict[str, Any]:
        """Nothing changes: requests to the API server, and CPU."""
        await self._settled()
        await asyncio.sleep(SETTLE)
        seconds, processes = self._options.rest, self._side.processes
        cpu = {role: cpu_seconds(one.pid) for role, one in processes.items()}
        before, begin = await self._dispatched(), time.monotonic()
        await asyncio.sleep(seconds)
        took, after = time.monotonic() - begin, await self._dispatched()
        return {
            "seconds": round(took),
            "requests_per_minute": {role: round((after[role] - before[role]) / took * 60, 1) for role in processes},
            "cpu_percent": {
                role: round((cpu_seconds(one.pid) - cpu[role]) / took * 100, 2) for role, one in processes.items()
            },
        }

    async def _settled(self) -> None:
        """Until what pods have left to do is done: Events are sent at a pace of their own, minutes after them."""
        begin, before = time.monotonic(), sum((await self._dispatched()).values())
        while time.monotonic() - begin < LATEST:
            await asyncio.sleep(LOOK_EVERY)
            now = sum((await self._dispatched()).values())
            if now - before < LOOK_EVERY:
                return
            before = now

    async def _dispatched(self) -> dict[str, float]:
        return {role: await self._api.dispatched(f"bench-{one.role}") for role, one in self._side.processes.items()}

    async def _streams(self) -> dict[str, Any]:
        """A control stream from each injected pod."""
        controller = self._side.processes["controller"]
        return await control_plane_streams.measure(self._api, controller.pid, controller.address)

    def _cpu(self) -> float:
        return sum(cpu_seconds(one.pid) for one in self._side.processes.values())

    def _memory(self) -> dict[str, float]:
        return {role: round(anonymous_bytes(one.pid) / 1e6, 1) for role, one in self._side.processes.items()}


def measured(
    begin: Callable[[Cluster, Path], AbstractContextManager[Side]], options: argparse.Namespace
) -> dict[str, Any]:
    """One side, on a cluster of its own."""
    cluster = Cluster(options.cluster)
    cluster.down()  # What an earlier run has left would be counted, too.
    try:
        cluster.up()
        with tempfile.TemporaryDirectory() as folder, begin(cluster, Path(folder)) as side:
            limit = LATEST * 4 + options.rest
            return netns.inside(cluster.name, lambda: asyncio.run(_ask(cluster, side, options)), timeout=limit)
    finally:
        if not options.keep:
            cluster.down()


async def _ask(cluster: Cluster, side: Side, options: argparse.Namespace) -> dict[str, Any]:
    async with api_server(cluster.kubeconfig) as api:
        return await Bench(api, side, options).run()


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--only", choices=tuple(SIDES), help="one side alone")
    found.add_argument("--configs", type=int, default=200, help="configs, each in a namespace of its own")
    found.add_argument("--pods", type=int, default=2000, help="opted-in pods, spread over the namespaces")
    found.add_argument("--rate", type=float, default=50.0, help="pods, and admission requests, a second")
    found.add_argument("--rest", type=float, default=120.0, help="seconds of rest that are measured")
    found.add_argument(
        "--cluster", default="tracekeeper-bench", help="name of the cluster; one of that name is removed first"
    )
    found.add_argument("--keep", action="store_true", help="leave the last cluster as it is afterwards")
    return found


SIDES: dict[str, Callable[[Cluster, Path], AbstractContextManager[Side]]] = {
    "ours": lambda cluster, folder: nullcontext(ours(cluster)),
    "theirs": theirs,
}


def main() -> int:
    options = parser().parse_args()
    report: dict[str, Any] = {"machine": machine()}
    try:
        for name in [options.only] if options.only else SIDES:
            report[name] = measured(SIDES[name], options)
    except ClusterError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "control_plane.json").write_text(json.dumps(report, indent=2) + "\n")
    print("", sentence(report["machine"]), "", *lines(report.get("ours"), report.get("theirs")), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Thousands of simulated sidecars at one real control server: what it costs, and how soon each knows what it should.

Usage: bench/control.py [--sidecars 1000,10000] [--seconds 30] [--keeps 100]

The server is a process of its own with TLS and tokens signed by a key as the API server publishes it; so are the
sidecars (`control_sidecars.py`), in two. All are one group and share the default target, so that each report is
everybody's matter. Then, in turn: all attach; nothing but reports for a while; half of them get ten times the traces;
traces are kept that the others are to hear of; the server is killed, and another one begins.

Figures are for one machine on which both sides run. They go to bench/results/control.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from control_sidecars import CONFIG, Place, Pod, Seen, crowd, settled
from procfs import anonymous_bytes, cpu_seconds

from control_api import serve
from service_tokens import DISCOVERY, ISSUER, JWKS, Signer
from tracekeeper_operator.access import Access
from tracekeeper_operator.certs import Lives, Material, make
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.keys import Keys
from tracekeeper_operator.control.server import SETTLE, ControlServer
from tracekeeper_operator.control.tokens import Tokens
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.settings import Address
from tracekeeper_spec.sampling import Adaptive

ROOT = Path(__file__).resolve().parent.parent
Jwks = dict[str, Any]
CROWDS = 2
"""Processes of sidecars."""
LATEST = 120.0
"""Seconds that attaching may take."""


def serve_control(pipe: Connection, port: int, material: Material, jwks: Jwks, settle: float) -> None:
    """What the server's process runs. It says which port it has."""
    asyncio.run(_serve_control(pipe, port, material, jwks, settle))


async def _serve_control(pipe: Connection, port: int, material: Material, jwks: Jwks, settle: float) -> None:
    clock, metrics = SystemClock(), ControllerMetrics()
    facts = {CONFIG: ConfigFacts(CONFIG, "shop", "agents", Adaptive())}

    def find(uid: str, namespace: str = "") -> ConfigFacts | None:
        return facts.get(uid)

    async with serve() as api, Kube(Access(api.url)) as kube:
        api.documents[DISCOVERY] = ("application/json", {"issuer": ISSUER})
        api.documents[JWKS] = ("application/jwk-set+json", jwks)
        tokens = Tokens(Keys(kube, clock), clock)
        server = ControlServer(
            Address("127.0.0.1", port), lambda: material, tokens.verify, find, clock, metrics, settle=settle
        )
        task = asyncio.create_task(server.run())
        started = asyncio.create_task(server.started.wait())
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        pipe.send(server.port)
        await task


class Server:
    """The process that is measured."""

    def __init__(self, port: int, material: Material, jwks: Jwks, settle: float) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=serve_control, args=(theirs, port, material, jwks, settle), daemon=True
        )
        self._process.start()
        if not ours.poll(30.0):
            raise SystemExit("the control server has not begun within 30 s")
        self.port: int = ours.recv()
        self.pid = self._process.pid or 0

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


class Crowds:
    """All sidecars."""

    def __init__(self, port: int, material: Material, tokens: Sequence[str]) -> None:
        self._pipes: list[Connection] = []
        each = -(-len(tokens) // CROWDS)
        place = Place("127.0.0.1", port, "localhost", material.ca)
        for first in range(0, len(tokens), each):
            ours, theirs = multiprocessing.Pipe()
            arguments = (theirs, place, first)
            multiprocessing.get_context("spawn").Process(target=crowd, args=arguments, daemon=True).start()
            ours.send(("attach", [Pod(token, CONFIG) for token in tokens[first : first + each]]))
            self._pipes.append(ours)
        for pipe in self._pipes:
            pipe.recv()

    def tell(self, command: str, value: float) -> None:
        for pipe in self._pipes:
            pipe.send((command, value / len(self._pipes) if command == "keep" else value))
        for pipe in self._pipes:
            pipe.recv()

    def seen(self) -> Seen:
        """What all of them have seen since the last time."""
        for pipe in self._pipes:
            pipe.send(("seen", None))
        whole = Seen()
        for pipe in self._pipes:
            part: Seen = pipe.recv()
            whole.attached += part.attached
            whole.broken += part.broken
            whole.welcomed += part.welcomed
            whole.shares += part.shares
            whole.delays += part.delays
            whole.sent, whole.received = whole.sent + part.sent, whole.received + part.received
            whole.told, whole.heard = whole.told + part.told, whole.heard + part.heard
        return whole

    def wait_for_all(self, number: int) -> list[float]:
        """Until all are welcomed; when each was."""
        welcomed: list[float] = []
        end = time.monotonic() + LATEST
        while len(welcomed) < number:
            time.sleep(0.5)
            welcomed += self.seen().welcomed
            if time.monotonic() > end:
                print(f"only {len(welcomed)} of {number} sidecars were welcomed within {LATEST:g} s", flush=True)
                break
        return sorted(welcomed)

    def end(self) -> None:
        for pipe in self._pipes:
            pipe.send(("end", None))


@contextmanager
def measuring(server: Server, figures: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Processor and memory of the server meanwhile."""
    found: dict[str, Any] = {}
    cpu, begin = cpu_seconds(server.pid), time.monotonic()
    yield found
    seconds = time.monotonic() - begin
    found["seconds"] = round(seconds, 1)
    found["cpu_seconds"] = round(cpu_seconds(server.pid) - cpu, 2)
    found["cores"] = round((cpu_seconds(server.pid) - cpu) / seconds, 3)
    found["anonymous_mb"] = round(anonymous_bytes(server.pid) / 1e6, 1)
    figures[name] = found
    print(f"  {name:14}", json.dumps(found), flush=True)


def spread_of(values: Sequence[float]) -> dict[str, float | int]:
    """Median, 99th percentile and the largest."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    at = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {
        "count": len(ordered),
        "median": round(median(ordered), 2),
        "p99": round(at, 2),
        "most": round(ordered[-1], 2),
    }


def rates(found: dict[str, Any], seen: Seen, seconds: float) -> None:
    found["to_server_per_second"] = round(seen.sent / seconds, 1)
    found["to_sidecars_per_second"] = round(seen.received / seconds, 1)
    if seen.broken:
        found["broken"] = seen.broken


def convergence(seen: Seen, since: float) -> dict[str, Any]:
    """When each sidecar had the part that it was left with; how many were told nothing, and the sum of all parts."""
    times = [settled(shares, since) for shares in seen.shares]
    known = [each for each in times if each is not None]
    return {"settled_after": spread_of(known), "not_told": len(times) - len(known)}


def measure(number: int, seconds: float, keeps: float) -> dict[str, Any]:
    material, signer = make(time.time(), ["localhost"], Lives()), Signer()
    now = time.time()
    tokens = [signer.token(now, pod=f"pod-{each}", uid=f"uid-{each}") for each in range(number)]
    jwks = {"keys": [signer.published]}
    figures: dict[str, Any] = {}
    server = Server(0, material, jwks, 0.0)
    figures["empty_mb"] = round(anonymous_bytes(server.pid) / 1e6, 1)
    print("  without any    ", figures["empty_mb"], "MB")
    with measuring(server, figures, "attach") as found:
        since = time.monotonic()
        crowds = Crowds(server.port, material, tokens)
        found["welcomed_after"] = spread_of([each - since for each in crowds.wait_for_all(number)])
    time.sleep(max(5.0, 2.5 * number / 1000.0))
    with measuring(server, figures, "reports") as found:
        crowds.seen()
        time.sleep(seconds)
        rates(found, crowds.seen(), seconds)
    with measuring(server, figures, "load x10") as found:
        crowds.seen()
        since = time.monotonic()
        crowds.tell("load", 10.0)
        wait = max(seconds, 3.5 * number / 1000.0)
        time.sleep(wait)
        seen = crowds.seen()
        rates(found, seen, wait)
        found.update(convergence(seen, since))
    with measuring(server, figures, "decisions") as found:
        crowds.tell("keep", keeps)
        time.sleep(seconds)
        crowds.tell("keep", 0.0)
        time.sleep(max(2.0, 1.5 * number / 1000.0))
        seen = crowds.seen()
        rates(found, seen, seconds)
        found["traces_told"], found["arrived"] = seen.told, round(seen.heard / max(1, seen.told * number), 4)
        found["delay"] = spread_of(seen.delays)
    server.kill()
    crowds.seen()
    since = time.monotonic()
    server = Server(server.port, material, jwks, SETTLE)
    with measuring(server, figures, "restart") as found:
        found["welcomed_after"] = spread_of([each - since for each in crowds.wait_for_all(number)])
        time.sleep(max(0.0, since + SETTLE + max(6.0, 3.0 * number / 1000.0) - time.monotonic()))
        seen = crowds.seen()
        found.update(convergence(seen, since))
    crowds.end()
    server.kill()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sidecars", default="1000,10000")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--keeps", type=float, default=100.0, help="traces a second that are told of, in all")
    options = parser.parse_args()
    results = {}
    for number in map(int, options.sidecars.split(",")):
        print(f"{number} sidecars", flush=True)
        results[number] = measure(number, options.seconds, options.keeps)
    path = ROOT / "bench" / "results" / "control.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""What a request costs the sidecar over OTLP/HTTP, beside what it costs over gRPC.

    python bench/receive.py [--seconds 3] [--rounds 3] [--spans 512,50,1]

A sidecar as users get it: a process of its own, a policy in force, every answer after `fdatasync`. Its backends are
away, so that what is measured is the way in and onto the disk; delivery costs the same whatever a span came over. Both
protocols get the same load in turn (`raw_load.py`): as many requests in flight, over as many connections. Once each
request in flight has a connection of its own, as with exporters, and once a few connections share them, by HTTP/2's
streams and by HTTP/1.1's pipelining.

Each round is a fresh sidecar, and turns the order around. CPU is that of the sidecar's whole tree for each request that
the client saw acknowledged; the ledger must have counted the same spans. The median of the rounds' ratios counts.
Prints a table, writes bench/results/receive.json. Exit 1 when HTTP takes more than 1.5 times gRPC's CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import uvloop
from bytecode import prepare
from machine import machine, sentence
from measure import RESULTS, bench_folder, quiet
from processes import Failed, Programs, free_ports
from procfs import cpu_seconds
from raw_calls import GrpcClient
from raw_load import Client, run
from sidecar import Sidecar
from spans import Template
from table import text

MUST = 1.5
WARM_UP = 0.5
BODIES = 16
"""Different requests that a connection sends in turn."""
IN_FLIGHT = {512: 16, 50: 16, 1: 32}
"""Requests in flight, by spans a request."""
FEW = 4
"""Connections, where requests share them."""
CLIENTS: Mapping[str, type[Client]] = {"HTTP": Client, "gRPC": GrpcClient}
HEAD = (
    "spans a request",
    "protocol",
    "connections",
    "in flight each",
    "requests/s",
    "CPU µs a request",
    "HTTP ÷ gRPC",
    "must",
)


class Load(NamedTuple):
    """What one sidecar gets over both protocols."""

    spans: int
    """Of a request."""
    connections: int
    each: int
    """Requests in flight of a connection."""


Round = Mapping[str, Mapping[str, float]]
"""`requests_per_second` and `cpu_us`, the sidecar's for a request, by protocol."""


def loads(spans: int) -> list[Load]:
    """Both shapes that it comes in."""
    in_flight = IN_FLIGHT.get(spans, 16)
    return [Load(spans, in_flight, 1), Load(spans, FEW, in_flight // FEW)]


def measure(load: Load, protocols: Sequence[str], seconds: float) -> Round:
    """One sidecar under the load, over one protocol after the other. Raises Failed."""
    template, found, owed = Template(load.spans), {}, 0
    bodies = [template.request() for _ in range(BODIES)]
    with bench_folder() as folder, Programs(folder) as programs:
        side = Sidecar(programs, dict(zip("ab", free_ports(2), strict=True)))
        side.start()
        side.ready()
        for protocol in protocols:
            client, port = CLIENTS[protocol], side.http if protocol == "HTTP" else side.grpc
            owed += uvloop.run(run(client, port, bodies, load.connections, load.each, WARM_UP))[0]
            quiet(side)
            before = cpu_seconds(side.pid)
            requests, took = uvloop.run(run(client, port, bodies, load.connections, load.each, seconds))
            used = cpu_seconds(side.pid) - before
            found[protocol] = {"requests_per_second": requests / took, "cpu_us": used / requests * 1e6}
            owed += requests
        acknowledged = int(side.ledger()["acknowledged"])
    if acknowledged != owed * load.spans:
        raise Failed(f"the ledger acknowledged {acknowledged} spans, clients saw {owed * load.spans}")
    return found


def outcome(load: Load, rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians by protocol, and of the ratios of neighbours."""
    ratios = [one["HTTP"]["cpu_us"] / one["gRPC"]["cpu_us"] for one in rounds]
    sides = {
        name: {key: median(one[name][key] for one in rounds) for key in ("requests_per_second", "cpu_us")}
        for name in CLIENTS
    }
    return {**load._asdict(), "sides": sides, "ratio": median(ratios), "ratios": ratios}


def cells(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Two rows a load: HTTP with ratio and bound, gRPC below."""
    rows: list[tuple[str, ...]] = []
    for one in found["loads"]:
        ratio = f"{one['ratio']:.2f}x ({min(one['ratios']):.2f}-{max(one['ratios']):.2f})"
        for name, side in one["sides"].items():
            load = (str(one["spans"]), name, str(one["connections"]), str(one["each"]))
            figures = (f"{side['requests_per_second']:,.0f}", f"{side['cpu_us']:.1f}")
            rows.append((*load, *figures, *((ratio, f"{MUST:g}x") if name == "HTTP" else ("", ""))))
    return rows


def missed(found: Mapping[str, Any]) -> list[str]:
    """Where HTTP costs more than it may, in words."""
    return [
        f"HTTP takes {one['ratio']:.2f} times gRPC's CPU: {one['spans']} a request, {one['connections']} connections"
        for one in found["loads"]
        if one["ratio"] > MUST
    ]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="OTLP/HTTP beside gRPC: CPU a request")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spans", default="512,50,1", help="spans a request")
    options = parser.parse_args()
    try:
        prepare()
        made = []
        for load in [load for spans in options.spans.split(",") for load in loads(int(spans))]:
            orders = [tuple(CLIENTS)[:: 1 - number % 2 * 2] for number in range(options.rounds)]
            made.append(outcome(load, [measure(load, order, options.seconds) for order in orders]))
    except (Failed, OSError) as error:
        print(f"receive: {error}", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"machine": machine(), "loads": made}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "receive.json").write_text(json.dumps(found, indent=2) + "\n")
    print(sentence(found["machine"]), "", *text(HEAD, cells(found)), "", *missed(found), sep="\n")
    return int(bool(missed(found)))


if __name__ == "__main__":
    sys.exit(main())

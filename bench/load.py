"""Closed-loop load over OTLP gRPC: so many requests in flight, each sent again as soon as it is answered.

    python bench/load.py --target 127.0.0.1:4317 --spans 512 --in-flight 16 --seconds 30

Prints one JSON object: requests, acknowledged spans, refusals by code, seconds, latency percentiles in milliseconds.
A refusal for lack of room (RESOURCE_EXHAUSTED, UNAVAILABLE) is answered by a short pause, as a client would; it is
counted, and it is not acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from spans import Template

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PAUSE = 0.05
"""Seconds, half to one and a half times this, before a refused worker asks again."""
TIMEOUT = 30.0


@dataclass(slots=True)
class Tally:
    """What all workers saw."""

    acknowledged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


async def worker(channel: grpc.aio.Channel, template: Template, until: float, tally: Tally) -> None:
    """Send until the time is up; the last answer is awaited."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
    chance = random.Random()
    while (begin := time.perf_counter()) < until:
        try:
            await call(template.request(), timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            tally.refused[error.code().name] += template.spans
            await asyncio.sleep(PAUSE * (0.5 + chance.random()))
            continue
        tally.latencies.append(time.perf_counter() - begin)
        tally.acknowledged += template.spans


async def load(target: str, template: Template, in_flight: int, seconds: float) -> dict[str, Any]:
    """Run `in_flight` workers over one channel for `seconds`."""
    tally = Tally()
    async with grpc.aio.insecure_channel(target, options=[("grpc.max_send_message_length", 64 << 20)]) as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
        begin = time.perf_counter()
        until = begin + seconds
        await asyncio.gather(*(worker(channel, template, until, tally) for _ in range(in_flight)))
        took = time.perf_counter() - begin
    ordered = sorted(tally.latencies)
    return {
        "spans_per_request": template.spans,
        "bytes_per_request": len(template),
        "in_flight": in_flight,
        "seconds": round(took, 3),
        "requests": len(ordered),
        "acknowledged": tally.acknowledged,
        "refused": dict(tally.refused),
        "p50_ms": percentile(ordered, 0.50),
        "p99_ms": percentile(ordered, 0.99),
        "max_ms": percentile(ordered, 1.0),
    }


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of sorted seconds, in milliseconds; 0 without any."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2) if ordered else 0.0


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description="closed-loop OTLP load over gRPC")
    parser.add_argument("--target", default="127.0.0.1:4317")
    parser.add_argument("--spans", type=int, default=512, help="spans a request")
    parser.add_argument("--in-flight", type=int, default=16, help="requests in flight")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    result = asyncio.run(load(options.target, Template(options.spans), options.in_flight, options.seconds))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

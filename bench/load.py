"""Load over OTLP gRPC: so many requests in flight, each sent again as soon as it is answered, or at a steady rate.

    python bench/load.py --target 127.0.0.1:4317 --spans 512 --in-flight 16 --seconds 30 [--rate SPANS_PER_SECOND]
                         [--traces rooted|rootless] [--bare]

Prints one JSON object: requests, acknowledged spans, refusals by code, seconds, latency percentiles in milliseconds.
A refusal for lack of room (RESOURCE_EXHAUSTED, UNAVAILABLE) is answered by a short pause, as a client would; it is
counted, and it is not acknowledged. With --rate, requests leave at even intervals as long as one of the --in-flight is
free; those that are late leave at once, so that the rate is made up for after a stall. With --traces, requests are
those of traces.py: what is refused is sent again until it is acknowledged, and every trace is sent to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from spans import Template
from traces import Traces

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PAUSE = 0.05
"""Seconds, half to one and a half times this, before a refused worker asks again."""
TIMEOUT = 30.0
GRACE = 60.0
"""Seconds after the end within which a refused request of a trace must have been acknowledged."""
KEPT = 2_000_000
"""Latencies kept at most; of more, every second one is forgotten, again and again."""


@dataclass(slots=True)
class Tally:
    """What all workers saw."""

    acknowledged: int = 0
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    def answered(self, spans: int, took: float) -> None:
        """Book an acknowledged request."""
        self.acknowledged += spans
        self.requests += 1
        self.latencies.append(took)
        if len(self.latencies) >= KEPT:
            del self.latencies[::2]


@dataclass(slots=True)
class Pace:
    """When the next request is due: at once, or at even intervals from the beginning; never after the end."""

    begin: float
    interval: float
    limit: int
    end: float = math.inf
    whole: int = 1
    """The end waits until a multiple of so many requests is complete."""
    taken: int = 0

    def next(self) -> float:
        """The time that the next request is due at; each is given out once. Infinity after the end."""
        due = self.begin + self.taken * self.interval
        over = max(due, time.perf_counter()) >= self.end and self.taken % self.whole == 0
        if over or (self.limit and self.taken >= self.limit):
            return math.inf
        self.taken += 1
        return due


@dataclass(frozen=True, slots=True)
class Orders:
    """What workers do: the request of each number, its spans, and until when a refused one is sent again."""

    request: Callable[[int], bytes]
    spans: int
    again_until: float = -math.inf


async def worker(channel: grpc.aio.Channel, orders: Orders, pace: Pace, tally: Tally) -> None:
    """Send until the pace says that it is over; the last answer is awaited. Raises what a refused request says last."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
    chance = random.Random()
    while True:
        number, due = pace.taken, pace.next()
        if due == math.inf:
            return
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        body, sent = orders.request(number), False
        while not sent:
            begin = time.perf_counter()
            try:
                await call(body, timeout=TIMEOUT)
                tally.answered(orders.spans, time.perf_counter() - begin)
                sent = True
            except grpc.aio.AioRpcError as error:
                tally.refused[error.code().name] += orders.spans
                sent = orders.again_until == -math.inf
                if not sent and time.perf_counter() > orders.again_until:
                    raise
                await asyncio.sleep(PAUSE * (0.5 + chance.random()))


async def load(
    target: str, source: Template | Traces, in_flight: int, seconds: float, rate: float = 0.0, limit: int = 0
) -> dict[str, Any]:
    """Run `in_flight` workers over one channel for `seconds` or `limit` requests; `rate` in spans/s, 0 for any."""
    tally = Tally()
    async with grpc.aio.insecure_channel(target, options=[("grpc.max_send_message_length", 64 << 20)]) as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
        begin = time.perf_counter()
        end = begin + seconds
        if isinstance(source, Traces):
            orders, whole = Orders(source.request, source.spans, end + GRACE), source.phases
        else:
            orders, whole = Orders(lambda _: source.request(), source.spans), 1
        pace = Pace(begin, source.spans / rate if rate else 0.0, limit, end, whole)
        await asyncio.gather(*(worker(channel, orders, pace, tally) for _ in range(in_flight)))
        took = time.perf_counter() - begin
    ordered = sorted(tally.latencies)
    sent = source.sent(pace.taken) if isinstance(source, Traces) else {}
    return sent | {
        "spans_per_request": source.spans,
        "bytes_per_request": len(source),
        "in_flight": in_flight,
        "offered_per_second": rate,
        "seconds": round(took, 3),
        "requests": tally.requests,
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
    parser = argparse.ArgumentParser(description="OTLP load over gRPC")
    parser.add_argument("--target", default="127.0.0.1:4317")
    parser.add_argument("--spans", type=int, default=512, help="spans a request")
    parser.add_argument("--in-flight", type=int, default=16, help="requests in flight, at most")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=0.0, help="spans a second to offer; 0: as fast as answers come")
    parser.add_argument("--prompt", type=int, default=0, help="bytes of prompt in each span")
    parser.add_argument("--limit", type=int, default=0, help="requests after which it ends early; 0: none")
    parser.add_argument("--bare", action="store_true", help="in each span, one value that redaction must mask")
    parser.add_argument("--traces", choices=("rooted", "rootless"), help="spread traces over requests")
    parser.add_argument("--seed", type=int, default=0, help="of the traces; another for each load of a run, under 256")
    options = parser.parse_args()
    source: Template | Traces = (
        Traces(options.spans, options.seed, rootless=options.traces == "rootless")
        if options.traces
        else Template(options.spans, options.prompt, bare=options.bare)
    )
    run = load(options.target, source, options.in_flight, options.seconds, options.rate, options.limit)
    print(json.dumps(asyncio.run(run)))


if __name__ == "__main__":
    main()

"""The soak's client: numbered requests at a steady rate, never sent twice; how each ended is written to a file.

    python bench/soak_load.py --target 127.0.0.1:4317 --rate 20000 --seconds 1200 --out FILE

A request without an answer is not repeated: what became of it is for the oracle to find out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
from load import EXPORT, PAUSE, Pace, Tally, percentile
from soak_oracle import Outcome, Outcomes
from spans import Template

SPANS = 50
IN_FLIGHT = 32
TIMEOUT = 10.0
REFUSALS = (grpc.StatusCode.RESOURCE_EXHAUSTED,)
"""Codes that only the sidecar itself says, and that mean "not stored". UNAVAILABLE may as well be a cut connection."""
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]


async def worker(
    channel: grpc.aio.Channel, template: Template, pace: Pace, until: float, outcomes: Outcomes, tally: Tally
) -> None:
    """Send the next numbers until the time is up."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
    chance = random.Random()
    while (number := pace.taken) < len(outcomes) and (due := pace.next()) < until:
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        begin = time.perf_counter()
        try:
            await call(template.request(number), timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            outcomes[number] = Outcome.REFUSED if error.code() in REFUSALS else Outcome.UNKNOWN
            tally.refused[error.code().name] += template.spans
            await asyncio.sleep(PAUSE * (0.5 + chance.random()))
            continue
        outcomes[number] = Outcome.ACKNOWLEDGED
        tally.answered(template.spans, time.perf_counter() - begin)


async def soak(target: str, rate: float, seconds: float) -> tuple[Outcomes, Tally]:
    """Offer `rate` spans a second for `seconds`; how each request ended, by its number."""
    template, tally = Template(SPANS), Tally()
    outcomes: Outcomes = np.zeros(int(rate * seconds / SPANS) + 1, dtype=np.int8)
    async with grpc.aio.insecure_channel(target, options=RECONNECT) as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
        begin = time.perf_counter()
        pace = Pace(begin, SPANS / rate, 0)
        until = begin + seconds
        await asyncio.gather(*(worker(channel, template, pace, until, outcomes, tally) for _ in range(IN_FLIGHT)))
    return outcomes, tally


def main() -> None:
    """Parse, run, write, print."""
    parser = argparse.ArgumentParser(description="numbered requests at a steady rate")
    parser.add_argument("--target", required=True)
    parser.add_argument("--rate", type=float, required=True, help="spans a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    outcomes, tally = asyncio.run(soak(options.target, options.rate, options.seconds))
    with options.out.open("wb") as out:
        np.save(out, outcomes)
    ordered = sorted(tally.latencies)
    shares = {f"p{share:g}_ms": percentile(ordered, share / 100) for share in (50, 99, 99.9)}
    print(json.dumps({"acknowledged": tally.acknowledged, "refused": dict(tally.refused), **shares}))


if __name__ == "__main__":
    main()

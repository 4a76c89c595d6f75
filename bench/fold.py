"""What sampling costs per span: folding, cutting at three shares, and tests of spans; and for each trace that another
sidecar keeps, which most often is not known here; ns of one core.

python bench/fold.py [--requests 400] [--spans 512]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

from spans import Template

from tracekeeper_sidecar.wire.fold import Folder
from tracekeeper_sidecar.wire.keep import Keep
from tracekeeper_sidecar.wire.keys import Keys
from tracekeeper_sidecar.wire.probability import threshold
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.told import Told
from tracekeeper_sidecar.wire.traces import SHUTDOWN, Traces, verdict
from tracekeeper_sidecar.wire.verdict import Judge
from tracekeeper_spec.condition import compile_trace
from tracekeeper_spec.condition.trace import combine

ROUNDS = 3
NOW = 1_760_000_000_000
CONDITIONS = [
    'span.attributes["gen_ai.request.model"] == "gpt-4o" && span.duration > 2s',
    'span.name == "no such span"',
    'span.attributes["http.status_code"] >= 500',
    'span.kind == "server" && span.status == "error"',
    'resource.attributes["service.name"] == "other"',
    'span.attributes["gen_ai.agent.name"] == "billing"',
    'event.name == "exception"',
    'span.attributes["user.plan"].startsWith("prem")',
    "span.duration > 10s",
    '"x" in span.attributes["list"]',
]


def nanoseconds(action: Callable[[bytes], object], bodies: list[bytes], spans: int) -> float:
    """Per span."""
    begin = time.process_time()
    for body in bodies:
        action(body)
    return (time.process_time() - begin) / (len(bodies) * spans) * 1e9


def folded(bodies: list[bytes], spans: int, conditions: list[str], keys: Keys | None = None) -> tuple[float, Traces]:
    """The best of some rounds, and a table with all spans."""
    codes = combine([compile_trace(text) for text in conditions])
    taken = []
    for _ in range(ROUNDS):
        table = Traces()
        folder = Folder(table, codes.span_tests, codes.root_tests, keys)
        taken.append(nanoseconds(lambda body, folder=folder: folder.fold(body, NOW), bodies, spans))  # type: ignore[misc]
    return min(taken), table


def unknown(trace_id: bytes) -> int:
    raise LookupError(trace_id)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spans", type=int, default=512, help="in a request")
    parser.add_argument("--requests", type=int, default=400)
    options = parser.parse_args()
    spans, template = options.spans, Template(options.spans)
    bodies = [template.request() for _ in range(options.requests)]
    print(f"{options.requests} requests of {spans} spans of {len(template) // spans} bytes")
    for name, conditions, keys in (
        ("fold", [], None),
        ("fold, keys by three names", [], Keys(["service.name", "gen_ai.agent.name", "operation"])),
        ("fold, 1 test", CONDITIONS[:1], None),
        ("fold, 10 tests", CONDITIONS, None),
    ):
        taken, table = folded(bodies, spans, conditions, keys)
        each = table.memory / table.count
        print(f"{name:28} {taken:6.0f} ns a span; {table.count} traces of {each:.0f} bytes")
    for share in (0.05, 0.5, 1.0):
        rounds = [measure(bodies, spans, share) for _ in range(ROUNDS)]
        found, decided, cut = (min(each) for each in zip(*rounds, strict=True))
        print(f"cut, {share:4.0%} kept {cut:21.0f} ns a span; due {found:.0f}, decide {decided:.0f} ns a trace")
    table = folded(bodies, spans, [])[1]
    print(f"told of {told(table):41.0f} ns a trace")


def told(table: Traces) -> float:
    """Nanoseconds for a trace that another sidecar keeps, and that is not known here."""
    chance, here, remembered = random.Random(2), Told(), Remembered()
    remembered.add(b"".join(chance.randbytes(16) + verdict(1, 0, keep=True).to_bytes(8) for _ in range(131_072)))
    batches = [chance.randbytes(16 * 2048) for _ in range(50)]
    begin = time.process_time()
    for batch in batches:
        here.take(batch, verdict(1, 0, keep=True), table, remembered)
    return (time.process_time() - begin) / (50 * 2048) * 1e9


def measure(bodies: list[bytes], spans: int, share: float) -> tuple[float, float, float]:
    """Nanoseconds to find a trace that is due, to decide it, and to cut a span."""
    chance = random.Random(1)
    _, table = folded(bodies, spans, [])
    judge, keep = Judge([]), Keep(table, unknown)
    begin = time.process_time()
    slots = table.due(SHUTDOWN, 1 << 30)
    middle = time.process_time()
    for slot in slots:
        judge.first(table, slot)
        keeps = chance.random() < share  # The ids of this load are numbers in a row: chance decides in their place.
        table.decide(slot, verdict(0, threshold(share) or 1 - keeps, keep=keeps))
    end = time.process_time()
    taken = nanoseconds(keep.cut, bodies, spans)
    assert table.count == 0
    return (middle - begin) / len(slots) * 1e9, (end - middle) / len(slots) * 1e9, taken


if __name__ == "__main__":
    main()

"""What translating spans of each dialect costs Normalize: microseconds of one core per span, in this process.

    python bench/dialects.py [--copies 40] [--rounds 8]

The spans are the fixtures of the tests, as the real SDKs write them, each in so many traces of one request. The best of
the rounds counts; every round begins with nothing remembered of the traces.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracekeeper_sidecar.memory import keep_some
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire.scan import look

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from genai_corpus import cases, normalizer


def copied(body: bytes, copies: int) -> bytes:
    """The request so many times in one, in traces of their own."""
    told, made = ExportTraceServiceRequest.FromString(body), ExportTraceServiceRequest()
    for number in range(copies):
        mark = number.to_bytes(2, "big")
        for resource in told.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    span.trace_id = mark + span.trace_id[2:]
        made.MergeFrom(told)
    return made.SerializeToString()


def taken(body: bytes, spans: int, rounds: int) -> float:
    """Nanoseconds for the request, at best."""
    best = float("inf")
    for _ in range(rounds):
        step, request = normalizer(), Request(body, spans, time.time_ns())
        begin = time.process_time_ns()
        step.run(request)
        best = min(best, time.process_time_ns() - begin)
    return best


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description="us a span that is translated")
    parser.add_argument("--copies", type=int, default=40, help="of each fixture in a request")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    keep_some()  # As the sidecar does.
    for case in cases():
        body = copied(case.body(), options.copies)
        spans = look(body).spans
        took = taken(body, spans, options.rounds)
        print(
            f"{case!s:36} {spans:5} spans of {len(body) // spans:5} bytes: "
            f"{took / spans / 1000:6.1f} us a span, {took / len(body):6.1f} ns a byte"
        )


if __name__ == "__main__":
    main()

"""SIGKILL and SIGTERM while spans come: at the end everything that was acknowledged is counted, once."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter, defaultdict

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metered_spans import Counts, agent_runs, expected
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

pytestmark = pytest.mark.timeout(180)  # Processes start and end seven times, on a machine that may be busy.
ROUNDS = 3
SAMPLING = {"decisionWait": "200ms", "default": {"type": "Probabilistic", "probabilistic": {"probability": 0.1}}}
LINE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)",?')
COUNTERS = ("tracekeeper_metered_spans_total", "tracekeeper_operations_total", "tracekeeper_tokens_total")
MORE = ("tracekeeper_requests_total", "tracekeeper_tool_calls_total", "tracekeeper_unpriced_calls_total")


def counted(sidecar: RunningSidecar) -> Counts:
    """What its metrics page says, without the label `alerts`."""
    found: Counts = defaultdict(Counter)
    for line in sidecar.get("/metrics")[1].splitlines():
        if (parts := LINE.match(line)) and parts["name"] in (*COUNTERS, *MORE):
            labels = tuple(value for name, value in LABEL.findall(parts["labels"]) if name != "alerts")
            found[parts["name"]][labels] += int(float(parts["value"]))
    return found


def send(sidecar: RunningSidecar, message: ExportTraceServiceRequest) -> bool:
    """Whether it was acknowledged; the process may go meanwhile."""
    try:
        return sidecar.send(message.SerializeToString()) == 200
    except OSError:
        return False


def test_counters_are_exact_after_kills_and_stops(sidecars: Sidecars) -> None:
    chance, runs = random.Random(1), agent_runs(1, 100_000)
    acknowledged: list[ExportTraceServiceRequest] = []
    for number in range(ROUNDS):
        config = manifest(otlp("nowhere", "GRPC", 9), **({"sampling": SAMPLING} if number % 2 else {}))
        sidecar = sidecars.start("--drain-timeout=1s", config=config)
        killer = threading.Timer(chance.uniform(0.3, 1.5), sidecar.kill if number % 3 else sidecar.stop)
        killer.start()
        while send(sidecar, message := next(runs)):
            acknowledged.append(message)
        killer.join()
        # What was on its way may have been stored, and not answered.
        sidecar = sidecars.start("--drain-timeout=1s", config=config)
        stored = until(lambda sidecar=sidecar: sidecar.ledger()["acknowledged"] or None, "the log is open")  # type: ignore[misc]
        if stored > sum(map(spans_of, acknowledged)):
            acknowledged.append(message)
        assert stored == sum(map(spans_of, acknowledged))
        sidecar.kill()
    sidecar = sidecars.start(config=config)
    wanted = expected(acknowledged)

    def differences() -> list[str] | None:
        found = counted(sidecar)
        wrong = [
            f"{name}{labels}: {found[name][labels]}, not {wanted[name][labels]}"
            for name in (*COUNTERS, *MORE)
            for labels in wanted[name].keys() | found[name].keys()
            if wanted[name][labels] != found[name][labels]
        ]
        last[:] = wrong
        return None if wrong else ["none"]

    last: list[str] = []
    assert acknowledged
    until(differences, f"the counters are exact: {last}", 40)
    print(f"{2 * ROUNDS} ends: {sum(map(spans_of, acknowledged))} spans acknowledged and counted once")


def spans_of(message: ExportTraceServiceRequest) -> int:
    return sum(len(scope.spans) for one in message.resource_spans for scope in one.scope_spans)

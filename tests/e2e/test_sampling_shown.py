"""What a running sidecar shows of sampling: metrics, health, the ledger, and its folder looked into from outside."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable

from programs import Backend
from sidecar_process import SIDECAR, Sidecars, manifest, otlp, until
from traces_to_sample import request_of, trace

SAMPLING = {
    "decisionWait": "1s",
    "rules": [{"name": "errors", "match": 'trace.status == "error"', "probability": 1}],
    "default": {"type": "Probabilistic", "probabilistic": {"probability": 0}},
}


def test_sampling_shows_in_metrics_health_ledger_and_inspect(
    sidecars: Sidecars, start_backend: Callable[..., Backend]
) -> None:
    a = start_backend("--name", "a")
    plain = manifest(otlp("a", "GRPC", a.grpc))
    sidecar = sidecars.start(config=plain)
    until(lambda: sidecar.ledger()["delivery"], "the entry is there")
    assert sidecar.health()["sampling"] is None
    sidecars.write({**plain, "spec": plain["spec"] | {"sampling": SAMPLING}})
    # Health shows sampling a moment before deliveries have been divided; what comes in between is not sampled.
    until(lambda: len(sidecar.logged("policy in force")) == 2, "the config is in force")
    assert sidecar.health()["sampling"]
    chance = random.Random(5)
    traces = [trace(chance, error=number < 3) for number in range(10)]
    assert sidecar.send(request_of([span for spans in traces for span in spans])) == 200
    until(lambda: sidecar.ledger()["acknowledged"] == 40, "all are stored")
    sidecar.settled()

    metrics = sidecar.get("/metrics")[1].splitlines()
    assert 'tracekeeper_sampling_traces_total{decision="kept",rule="errors"} 3.0' in sorted_labels(metrics)
    assert 'tracekeeper_sampling_traces_total{decision="sampled_out",rule="default"} 7.0' in sorted_labels(metrics)
    assert "tracekeeper_sampling_open_traces 0.0" in metrics
    assert "tracekeeper_sampling_undecided_spans 0.0" in metrics
    assert "tracekeeper_sampling_overloaded 0.0" in metrics
    assert "tracekeeper_sampling_probability 0.0" in metrics
    assert 'tracekeeper_spans_sampled_out_total{delivery="a",rule="default"} 28.0' in metrics

    health = sidecar.health()
    assert (health["status"], health["sampling"]["openTraces"], health["sampling"]["problem"]) == ("healthy", 0, "")

    (entry,) = json.loads(sidecar.get("/ledger")[1])["delivery"]
    assert entry["sampledOut"] == {"default": "28"}

    until(lambda: "sampled out 28 (default 28)" in inspected(sidecars), "the cursor is saved")
    assert "sampled out 28 (default 28), damaged before 0" in inspected(sidecars)


def sorted_labels(lines: list[str]) -> set[str]:
    """The same lines with their labels in alphabetical order."""
    found = set()
    for line in lines:
        name, brace, rest = line.partition("{")
        labels, _, value = rest.partition("}")
        found.add(f"{name}{{{','.join(sorted(labels.split(',')))}}}{value}" if brace else line)
    return found


def inspected(sidecars: Sidecars) -> str:
    command = [*SIDECAR, "log", "inspect", str(sidecars.data)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

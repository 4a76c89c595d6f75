"""How soon a sidecar answers after its start, with a CPU limit of 100m as in a pod, and what it takes at rest then.

    python bench/start.py [--runs 5] [--cores 0.1] [--rest 10]

Each run starts a sidecar in a cgroup of its own, as in a pod: with a policy of two gRPC backends, on an empty folder,
its modules compiled to bytecode as in the image. From the moment of the exec: until the metrics port takes a
connection, until /startupz says started, until an export over HTTP is answered OK (its span on disk), and until the
policy is in force. Whoever asks is outside the limit. Then, at rest, anonymous memory and the share of a core. Prints
medians; writes bench/results/start.json. Needs root.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import cgroup
import procfs
from bytecode import prepare
from measure import bench_folder
from processes import Failed, Programs, free_ports, listening, until
from sinks import Sinks
from spans import Template

from tracekeeper_spec.policy import PolicyDocument, PolicyEntry

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
MEMORY = 256 << 20
LIMIT = 60.0
EVERY = 0.005
"""Seconds between two questions."""
SETTLE = 3.0
"""Seconds until what the start leaves behind is done with."""
GOALS = {"answer_seconds": 3.0, "rest_mb": 30.0, "rest_cpu_percent": 0.2}


def _policy(ports: dict[str, int]) -> str:
    """The policy document of a namespace with one config: two gRPC backends."""
    backends = [
        {"name": name, "type": "OTLP", "otlp": {"protocol": "GRPC", "endpoint": f"http://127.0.0.1:{port}"}}
        for name, port in ports.items()
    ]
    entry = PolicyEntry("bench", "bench", "1", 1, "2026-01-01T00:00:00Z", {"backends": backends})
    return PolicyDocument(1, (entry,)).to_json()


def _answers(url: str, body: bytes | None = None) -> bool:
    headers = {"Content-Type": "application/x-protobuf"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers), timeout=LIMIT) as answer:
            answer.read()
            return True
    except OSError:  # HTTPError is one: an answer, but not this one
        return False


def _in_force(metrics: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/health", timeout=LIMIT) as answer:
        return bool(json.loads(answer.read())["config"])


def measure(cores: float, rest: float) -> dict[str, float]:
    """One start. Raises Failed when it does not get there."""
    grpc, http, metrics = free_ports(3)
    body = Template(10).request()
    questions: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("port_seconds", lambda: listening(metrics)),
        ("started_seconds", lambda: _answers(f"http://127.0.0.1:{metrics}/startupz")),
        ("answer_seconds", lambda: _answers(f"http://127.0.0.1:{http}/v1/traces", body)),
        ("policy_seconds", lambda: _in_force(metrics)),
    )
    with cgroup.limited(MEMORY, cores) as group, bench_folder() as folder, Programs(folder) as programs:
        policy = folder / "policy.json"
        policy.write_text(_policy(Sinks(programs).ports))
        (folder / "pod").mkdir()
        (folder / "pod" / "labels").write_text("")
        (folder / "pod" / "annotations").write_text("")
        command = [*group.prefix, sys.executable, "-m", "tracekeeper_sidecar", "run", f"--policy={policy}"]
        command += [f"--pod-info={folder / 'pod'}", f"--data-dir={folder / 'data'}", "--storage-size=256Mi"]
        command += [f"--grpc-listen=127.0.0.1:{grpc}", f"--http-listen=127.0.0.1:{http}"]
        command += [f"--metrics-listen=127.0.0.1:{metrics}"]
        found = {}
        begin = time.monotonic()
        sidecar = programs.start("sidecar", command)
        for step, ready in questions:
            until(ready, LIMIT, step, sidecar, EVERY)
            found[step] = time.monotonic() - begin
        found["start_cpu_seconds"] = procfs.cpu_seconds(sidecar.pid)
        time.sleep(SETTLE)
        before = procfs.cpu_seconds(sidecar.pid)
        time.sleep(rest)
        found["rest_cpu_percent"] = (procfs.cpu_seconds(sidecar.pid) - before) / rest * 100
        found["rest_mb"] = procfs.anonymous_bytes(sidecar.pid) / 1e6
    return found


def main() -> int:
    """Run, print, write; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description="start-up and rest of a sidecar within a CPU limit")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cores", type=float, default=0.1)
    parser.add_argument("--rest", type=float, default=10.0, metavar="SECONDS")
    options = parser.parse_args()
    if reason := cgroup.available():
        print(f"start: NOT RUN, {reason}", file=sys.stderr)
        return 1
    prepare()
    try:
        runs = [measure(options.cores, options.rest) for _ in range(options.runs)]
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    medians = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
    RESULTS.mkdir(exist_ok=True)
    report = {"cores": options.cores, "medians": medians, "runs": runs}
    (RESULTS / "start.json").write_text(json.dumps(report, indent=2) + "\n")
    for name, median in medians.items():
        values = [run[name] for run in runs]
        goal = f", at most {GOALS[name]:g} asked for" if name in GOALS else ""
        print(f"{name:>18} {median:8.2f}   ({min(values):.2f} to {max(values):.2f}{goal})")
    return int(any(medians[name] > goal for name, goal in GOALS.items()))


if __name__ == "__main__":
    sys.exit(main())

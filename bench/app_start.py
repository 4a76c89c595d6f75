"""How much later does an application start with a sidecar? On the demo's cluster, after `make demo`:

    python bench/app_start.py [--runs 10] [--cluster tracekeeper-demo]

Creates the demo's agent as a bare pod, in turn with and without the annotation, and takes the time from the create call
until the agent's first act (its first line says when that was; node and bench share a clock). Alternating, because a
machine's speed drifts. Prints medians; writes bench/results/app_start.json. Removes its pods.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
AGENT = ROOT / "examples" / "demo" / "manifests" / "30-agent.yaml"
NAMESPACE = "tracekeeper-demo"
START_LIMIT = 120.0
SIDES = ("with", "without")


class Kubectl:
    """kubectl on one of our clusters."""

    def __init__(self, cluster: str) -> None:
        self._argv = [str(ROOT / "scripts" / "cluster.sh"), "--name", cluster, "kubectl", "-n", NAMESPACE]

    def __call__(self, *args: str, stdin: str | None = None) -> str:
        """What it printed; raises RuntimeError with its complaint."""
        done = subprocess.run(
            [*self._argv, *args], input=stdin, capture_output=True, text=True, timeout=START_LIMIT, check=False
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout


def pod(name: str, image: str, side: str) -> dict[str, Any]:
    """The demo's agent as a bare pod of one run."""
    template = yaml.safe_load(AGENT.read_text())["spec"]["template"]
    spec = template["spec"]
    container = spec["containers"][0]
    container["image"] = image
    container["env"] = [e for e in container["env"] if not e["name"].startswith("AGENT_")]
    container["env"].append({"name": "AGENT_RUNS", "value": "1"})
    inject = "true" if side == "with" else "false"
    metadata = {"name": name, "labels": {"app": "app-start"}, "annotations": {"tracekeeper.dev/inject": inject}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "restartPolicy": "Never"}}


def measure(kubectl: Kubectl, name: str, image: str, side: str) -> float:
    """Seconds from the create call to the agent's first act. Raises RuntimeError when it is not what was asked for."""
    begin = time.time()
    kubectl("create", "-f", "-", stdin=json.dumps(pod(name, image, side)))
    try:
        started = _first_act(kubectl, name)
        made = json.loads(kubectl("get", "pod", name, "-o", "json"))
    finally:
        kubectl("delete", "pod", name, "--grace-period=1", "--ignore-not-found")
    injected = [c["name"] for c in made["spec"].get("initContainers", [])] == ["tracekeeper-sidecar"]
    if injected != (side == "with"):
        raise RuntimeError(f"pod {name} should run {side} a sidecar, and does not: is Tracekeeper running?")
    return started - begin


def _first_act(kubectl: Kubectl, name: str) -> float:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        try:
            lines = kubectl("logs", name, "-c", "agent").splitlines()
        except RuntimeError:
            lines = []  # The container has not been created yet.
        if lines and lines[0].startswith("started "):
            return float(lines[0].split()[1])
        time.sleep(0.3)
    raise RuntimeError(f"pod {name} said nothing within {START_LIMIT:.0f} s:\n{kubectl('describe', 'pod', name)}")


def summary(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians and extremes of each side, and how much later the median is with a sidecar."""
    sides: dict[str, dict[str, Any]] = {
        side: {
            "median": round(statistics.median(found), 3),
            "min": round(min(found), 3),
            "max": round(max(found), 3),
            "runs": [round(one, 3) for one in found],
        }
        for side, found in seconds.items()
    }
    return {**sides, "later": round(sides["with"]["median"] - sides["without"]["median"], 3)}


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description="application start with and without a sidecar")
    parser.add_argument("--runs", type=int, default=10, help="of each side")
    parser.add_argument("--cluster", default="tracekeeper-demo")
    options = parser.parse_args()
    kubectl = Kubectl(options.cluster)
    try:
        found = json.loads(kubectl("get", "deployment", "weather-agent", "-o", "json"))
    except RuntimeError as error:
        print(f"{error}\nFirst: make demo", file=sys.stderr)
        return 1
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(options.runs):
        for side in SIDES if number % 2 else reversed(SIDES):
            seconds[side].append(measure(kubectl, f"app-start-{side}-{number}", image, side))
            print(f"  run {number + 1}, {side} a sidecar: {seconds[side][-1]:.2f} s", flush=True)
    report = summary(seconds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "app_start.json").write_text(json.dumps(report, indent=2) + "\n")
    for side in SIDES:
        print(f"{side:>8} a sidecar: median {report[side]['median']} s, {report[side]['min']} to {report[side]['max']}")
    print(f"the application starts {report['later']} s later with it (medians of {options.runs} runs, alternating)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

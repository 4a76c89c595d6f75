"""Anonymous memory of each of our processes at rest, on the demo's cluster, after `make demo`. Needs root.

python bench/memory.py [--cluster tracekeeper-demo]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import procfs

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from cluster.errors import ClusterError
from cluster.node import Cluster

CONTAINERS = ("controller", "injector", "tracekeeper-sidecar")
NAMESPACES = ("tracekeeper-system", "tracekeeper-demo")


def at_rest(cluster: Cluster) -> dict[str, float]:
    """Megabytes of RssAnon by `pod/container`, for every container of ours that runs."""
    found = {}
    for namespace in NAMESPACES:
        for pod in cluster.get("pods", namespace=namespace)["items"]:
            spec = pod["spec"]
            for container in [*spec.get("initContainers", []), *spec["containers"]]:
                if container["name"] in CONTAINERS:
                    name = pod["metadata"]["name"]
                    pid = cluster.container_pid(namespace, name, container["name"])
                    found[f"{name}/{container['name']}"] = round(procfs.anonymous_bytes(pid) / 1e6, 1)
    return found


def main() -> int:
    """Print one line for each process."""
    parser = argparse.ArgumentParser(description="anonymous memory at rest")
    parser.add_argument("--cluster", default="tracekeeper-demo")
    try:
        found = at_rest(Cluster(parser.parse_args().cluster))
    except ClusterError as error:
        print(f"{error}\nFirst: make demo", file=sys.stderr)
        return 1
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "memory.json").write_text(json.dumps(found, indent=2) + "\n")
    for name, megabytes in found.items():
        print(f"{megabytes:>7.1f} MB  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command line of the test cluster: see scripts/cluster.sh."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from cluster import binaries, images, machine, prometheus_operator
from cluster.errors import ClusterError
from cluster.node import Cluster


def main() -> int:
    """Run one command; 0 when it worked, 1 when not (after a message that says what to do)."""
    options = _parse()
    cluster = Cluster(options.name)
    try:
        return int(COMMANDS[options.command](cluster, options.rest) or 0)
    except ClusterError as error:
        print(f"cluster {options.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/cluster.sh",
        description="A real Kubernetes on this machine, in network, process and mount namespaces of its own.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:12}  {_summary(work.__doc__)}" for name, work in COMMANDS.items()),
    )
    parser.add_argument("--name", default=os.environ.get("TRACEKEEPER_CLUSTER", "tracekeeper"), help="which cluster")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="…", help="what the command takes")
    return parser.parse_args()


def _summary(text: str | None) -> str:
    return (text or "").splitlines()[0] if text else ""


def _up(cluster: Cluster, _: list[str]) -> None:
    """start it, or say that it runs"""
    began = time.monotonic()
    cluster.up()
    print(f"The cluster {cluster.name} is ready ({time.monotonic() - began:.1f} s).")
    print(f"Look around: scripts/cluster.sh --name {cluster.name} kubectl get pods -A")


def _down(cluster: Cluster, _: list[str]) -> None:
    """remove it and everything that it left"""
    cluster.down()
    print(f"The cluster {cluster.name} is gone.")


def _status(cluster: Cluster, _: list[str]) -> int:
    """show what runs; fails when it does not run"""
    if not cluster.running():
        print(f"The cluster {cluster.name} does not run.")
        return 1
    print(f"The cluster {cluster.name} runs; state and logs: {cluster.state}\n")
    print(cluster.kubectl("get", "nodes,pods", "-A", "-o", "wide"))
    return 0


def _env(cluster: Cluster, _: list[str]) -> None:
    """print the variables for a shell; its commands need `nsenter --net=…` to reach the cluster"""
    for name, value in cluster.environment().items():
        print(f"export {name}={value}")


def _tools(_cluster: Cluster, _: list[str]) -> None:
    """build Kubernetes, CoreDNS, kubectl and Helm into the cache, if they are not there"""
    print(f"The cluster's programs are in {binaries.ensure()}")


def _monitoring(_cluster: Cluster, _: list[str]) -> None:
    """build the Prometheus operator of the tests into the cache, if it is not there"""
    print(f"The Prometheus operator is in {prometheus_operator.ensure()}")


def _exec(cluster: Cluster, rest: list[str]) -> int:
    """run a command in the cluster's network: exec -- COMMAND …"""
    machine.check_root()
    command = rest[1:] if rest[:1] == ["--"] else rest
    return subprocess.run(cluster.argv(command), env={**os.environ, **cluster.environment()}).returncode


def _kubectl(cluster: Cluster, rest: list[str]) -> int:
    """run kubectl in the cluster's network"""
    return _exec(cluster, ["kubectl", *rest])


def _helm(cluster: Cluster, rest: list[str]) -> int:
    """run helm in the cluster's network"""
    return _exec(cluster, ["helm", *rest])


def _base_image(_cluster: Cluster, _: list[str]) -> None:
    """make the base image of all local builds from Debian's packages, once a week"""
    machine.check()
    print(f"{images.BASE} is {images.ensure_base()}")


def _buildah(_cluster: Cluster, rest: list[str]) -> int:
    """run buildah on the images of this project, which are kept apart from your own"""
    machine.check()
    return subprocess.run([images.program(), *rest], env={**os.environ, **images.environment()}).returncode


def _build_image(_cluster: Cluster, rest: list[str]) -> None:
    """build an image: build-image TAG CONTEXT [--file FILE] [--target TARGET]"""
    machine.check()
    parser = argparse.ArgumentParser(prog="build-image")
    parser.add_argument("tag")
    parser.add_argument("context")
    parser.add_argument("--file")
    parser.add_argument("--target")
    options = parser.parse_args(rest)
    print(images.build(options.tag, options.context, file=options.file, target=options.target))


def _load_image(cluster: Cluster, rest: list[str]) -> None:
    """load built images into the cluster: load-image TAG …"""
    machine.check()
    images.load(cluster, *rest)


COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "kubectl": _kubectl,
    "helm": _helm,
    "exec": _exec,
    "env": _env,
    "tools": _tools,
    "monitoring": _monitoring,
    "base-image": _base_image,
    "buildah": _buildah,
    "build-image": _build_image,
    "load-image": _load_image,
}

if __name__ == "__main__":
    sys.exit(main())

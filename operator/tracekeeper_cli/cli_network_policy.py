"""The command `tracekeeper network-policy`: what to add to a namespace in which everything is denied by default."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import yaml

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.network_policy import policy

HEAD = """\
# For namespace {namespace}, if policies there deny what is not allowed, both ways. Policies add up: these are opened
# beside those that your applications have. Without such policies leave this out: it would shut all other ways.
# A default of the root namespace with further backends is not looked at. It opens:
"""


def run(options: argparse.Namespace) -> int:
    """Print it as YAML, ready for `kubectl apply -f -`. Raises CLIError."""
    cluster = Cluster(options.context)
    namespace = options.namespace or cluster.namespace

    def find(space: str, name: str) -> Mapping[str, Any] | None:
        return cluster.service(space, name)

    body, ways = policy(namespace, cluster.tracing_configs(namespace), options.operator_namespace, find)
    print(HEAD.format(namespace=namespace) + "".join(f"#   - {way}\n" for way in ways), end="")
    print(yaml.safe_dump(body, sort_keys=False), end="")
    return 0

"""The command `tracekeeper network-policy`: what to add to a namespace in which everything is denied by default."""

from __future__ import annotations

import argparse

import yaml

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.missing import applied
from tracekeeper_cli.network_policy import need
from tracekeeper_cli.survey import survey

HEAD = """\
# For namespace {namespace}, if policies there deny what is not allowed, both ways. Policies add up: these are opened
# beside those that your applications have. Without such policies leave this out: it would shut all other ways.
# It opens:
"""


def run(options: argparse.Namespace) -> int:
    """Print it as YAML, ready for `kubectl apply -f -`. Raises CLIError."""
    cluster = Cluster(options.context)
    namespace = options.namespace or cluster.namespace
    world = survey(cluster, namespace, options.operator_namespace, policies=False)
    found = need(namespace, applied(world, namespace), world.operator, cluster.service)
    lines = [f"#   - {way.to}\n" for way in found.ways]
    lines += [f"# Not looked at, so it may lack a way: {text}\n" for text in world.unread]
    print(HEAD.format(namespace=namespace) + "".join(lines), end="")
    print(yaml.safe_dump(found.policy, sort_keys=False), end="")
    return 0

"""The commands that look at the cluster and judge: `explain`, `doctor`, `uninstall --dry-run`. They change nothing."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.doctor import examine
from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.explain import explanation
from tracekeeper_cli.findings import as_json, as_text
from tracekeeper_cli.leftovers import leftovers
from tracekeeper_cli.survey import survey
from tracekeeper_cli.uninstall import report
from tracekeeper_cli.world import PART_OF, POLICY_SECRET, meta

DONE, WRONG = 0, 1


def explain(options: argparse.Namespace) -> int:
    """Say what applies to a pod and why. Raises CLIError."""
    cluster = Cluster(options.context)
    namespace = options.namespace or cluster.namespace
    world = survey(cluster, namespace, options.operator_namespace, policies=False)
    pod = next((item for item in world.pods if meta(item).get("name") == options.name), None)
    if pod is None:
        raise CLIError(f"there is no pod {namespace}/{options.name}: kubectl get pods -n {namespace}")
    print(explanation(world, pod))
    return DONE


def doctor(options: argparse.Namespace) -> int:
    """Say what is wrong; 1 if anything is. Raises CLIError."""
    cluster = Cluster(options.context)
    namespace = None if options.all_namespaces else options.namespace or cluster.namespace
    world = survey(cluster, namespace, options.operator_namespace)
    found = examine(world, time.time())
    if options.json:
        print(as_json(found, world.unread))
    else:
        where = f"namespace {namespace}" if namespace else "all namespaces"
        looked_at = f"Looked at {where}: {len(world.pods)} pods, {len(world.configs)} TracingConfigs"
        print(as_text(found, world.unread, looked_at))
    return WRONG if any(each.wrong for each in found) else DONE


def uninstall(options: argparse.Namespace) -> int:
    """Say what an uninstall would do. Raises CLIError."""
    cluster = Cluster(options.context)
    world = survey(cluster, None, options.operator_namespace)
    objects = cluster.objects()
    policies = {
        str(meta(item).get("namespace")): item
        for item in objects.all_of("secrets", fields=f"metadata.name={POLICY_SECRET}")
    }
    definitions = objects.all_of("customresourcedefinitions", labels=PART_OF)
    left = leftovers(objects)
    # Whoever may not list Secrets of all namespaces is told so, and of those that were found one by one.
    world = replace(world, policies={**world.policies, **policies}, unread=(*world.unread, *objects.unread))
    print(report(world, definitions, left))
    return DONE

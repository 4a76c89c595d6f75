"""`tracekeeper rollout status` and `undo`: with the rights that the person has on the TracingConfig, and no others."""

from __future__ import annotations

import argparse
import time

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.rollout import described, phase, undo

DONE, HALTED = 0, 1
LOOK_EVERY = 2.0
"""Seconds."""


def status(options: argparse.Namespace) -> int:
    """Raises CLIError."""
    cluster = Cluster(options.context)
    namespace = options.namespace or cluster.namespace
    until = time.monotonic() + options.wait
    while True:
        config = cluster.tracing_config(namespace, options.name)
        if phase(config) not in ("Progressing", "Unseen", "Behind") or time.monotonic() >= until:
            break
        time.sleep(LOOK_EVERY)
    print(described(config))
    unfinished = options.wait > 0 and phase(config) != "Complete" and phase(config) != ""
    return HALTED if phase(config) == "Halted" or unfinished else DONE


def back(options: argparse.Namespace) -> int:
    """Raises CLIError."""
    cluster = Cluster(options.context)
    config = cluster.tracing_config(options.namespace or cluster.namespace, options.name)
    undone = undo(config)
    cluster.replace_tracing_config(undone.manifest, dry_run=options.dry_run)
    print(f"(dry run: nothing was changed)\n{undone.message}" if options.dry_run else undone.message)
    return DONE

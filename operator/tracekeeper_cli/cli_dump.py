"""The command `tracekeeper dump`: has every sidecar of a config send what sampling has left out, and waits for all."""

from __future__ import annotations

import sys
import time

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.dump import STOPPED, Report
from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.people import DUMP, call
from tracekeeper_cli.way import Way
from tracekeeper_proto.control.v1.control_pb2 import DumpRequest

DONE, FAILED = 0, 1


def run(way: Way, namespace: str | None, asked: DumpRequest) -> int:
    """Carry it out, follow it, say what became of it; returns the exit code. An interrupt ends it everywhere. Raises
    CLIError."""
    cluster = Cluster(way.context)
    asked.namespace = namespace or cluster.namespace
    token = way.token(cluster, asked.namespace, asked.timeout_seconds)
    report = Report(asked.backend)
    with way.operator(cluster) as operator, call(operator, token, DUMP, asked, asked.timeout_seconds) as told:
        try:
            for progress in told:
                if line := report.take(progress, time.monotonic()):
                    print(line, file=sys.stderr)
        except KeyboardInterrupt:
            report.end(STOPPED)
        except CLIError as error:
            if not report.sidecars:
                raise
            report.end(str(error))
    report.end(report.problem)
    _look_for_others(report, cluster, asked)
    print(report.text())
    return FAILED if report.failed else DONE


def _look_for_others(report: Report, cluster: Cluster, asked: DumpRequest) -> None:
    try:
        report.expect(cluster.sidecar_pods(asked.namespace, asked.config))
    except CLIError as error:
        print(f"whether there are sidecars that the operator does not know is not known: {error}", file=sys.stderr)

"""The command `tracekeeper send-test-span`: a span through a sidecar of a config, and where it came."""

from __future__ import annotations

import sys

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.people import TEST, call
from tracekeeper_cli.trial import STOPPED, Report
from tracekeeper_cli.way import Way
from tracekeeper_proto.control.v1.control_pb2 import TestRequest

DONE, FAILED = 0, 1


def run(way: Way, namespace: str | None, asked: TestRequest) -> int:
    """Send it, follow it, say what became of it; returns the exit code. Raises CLIError."""
    cluster = Cluster(way.context)
    asked.namespace = namespace or cluster.namespace
    token = way.token(cluster, asked.namespace, asked.timeout_seconds)
    report = Report()
    with way.operator(cluster) as operator, call(operator, token, TEST, asked, asked.timeout_seconds) as told:
        try:
            for progress in told:
                for line in report.take(progress):
                    print(line, file=sys.stderr)
        except KeyboardInterrupt:
            report.problem = STOPPED
        except CLIError as error:
            if not report.pod:
                raise
            report.problem = str(error)
    print(report.text())
    return FAILED if report.failed else DONE

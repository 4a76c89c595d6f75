"""The command `tracekeeper tap`: shows a few spans as sidecars of a config store them, from now on."""

from __future__ import annotations

import sys

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.people import TAP, call
from tracekeeper_cli.spans import as_json, first, lines, read
from tracekeeper_cli.tap import STOPPED, Report
from tracekeeper_cli.way import Way
from tracekeeper_proto.control.v1.control_pb2 import TapProgress, TapRequest

DONE, FAILED = 0, 1


def run(way: Way, namespace: str | None, asked: TapRequest, *, json: bool) -> int:
    """Show what comes; returns the exit code. An interrupt ends it everywhere. Raises CLIError."""
    cluster = Cluster(way.context)
    asked.namespace = namespace or cluster.namespace
    token = way.token(cluster, asked.namespace, asked.seconds)
    report = Report(asked.spans)
    with way.operator(cluster) as operator, call(operator, token, TAP, asked, asked.seconds) as told:
        try:
            for progress in told:
                if not report.sidecars:
                    print(f"waiting for spans of {progress.sidecars} sidecars, Ctrl-C ends it", file=sys.stderr)
                if show := report.take(progress):
                    _show(progress, show, json=json)
        except KeyboardInterrupt:
            # What was shown by then is what somebody wanted to see.
            print(f"{STOPPED}: {report.shown} spans shown", file=sys.stderr)
            return DONE
        except CLIError as error:
            if not report.sidecars:
                raise
            report.problem = str(error)
    print(report.text(), file=sys.stderr)
    return FAILED if report.failed else DONE


def _show(progress: TapProgress, most: int, *, json: bool) -> None:
    request = read(progress.state.request)
    first(request, most)
    text = as_json(progress.pod, request) if json else "\n".join(lines(progress.pod, request))
    print(text, flush=True)

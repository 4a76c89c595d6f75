"""The command `tracekeeper dump`: has every sidecar of a config send what sampling has left out, and waits for all."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.dump import STOPPED, Report
from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.people import Operator, dump
from tracekeeper_cli.tunnel import tunnel
from tracekeeper_proto.control.v1.control_pb2 import DumpRequest

DONE, FAILED = 0, 1
SERVICE, PORT = "tracekeeper-control", 9444
SPARE = 300.0
"""Seconds that a token is good for beyond the dump's time."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the operator is reached, and who asks. All as the command line has it, None where it says nothing."""

    context: str | None
    operator_namespace: str
    server: str | None
    ca: str | None
    token_file: str | None
    service_account: str | None


def run(way: Way, namespace: str | None, asked: DumpRequest) -> int:
    """Carry it out, follow it, say what became of it; returns the exit code. An interrupt ends it everywhere. Raises
    CLIError."""
    cluster = Cluster(way.context)
    asked.namespace = namespace or cluster.namespace
    token = _token(way, cluster, asked)
    report = Report(asked.backend)
    with _operator(way, cluster) as operator, dump(operator, token, asked) as told:
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


def _token(way: Way, cluster: Cluster, asked: DumpRequest) -> str:
    if way.token_file:
        token = _text(way.token_file, "--token-file").strip()
        if not token:
            raise CLIError(f"--token-file: {way.token_file} is empty")
        return token
    if way.service_account:
        space, slash, name = way.service_account.rpartition("/")
        return cluster.service_account_token(space if slash else asked.namespace, name, asked.timeout_seconds + SPARE)
    return cluster.token()


@contextmanager
def _operator(way: Way, cluster: Cluster) -> Iterator[Operator]:
    """Where it answers, for as long as it is needed."""
    space = way.operator_namespace
    known = {} if way.ca else cluster.authority(space)
    authority = _text(way.ca, "--ca") if way.ca else known["ca.crt"]
    name, _, port = known.get("endpoint", f"{SERVICE}.{space}.svc:{PORT}").rpartition(":")
    if way.server:
        yield Operator(way.server, name, authority)
        return
    with tunnel(space, name.partition(".")[0], int(port) if port.isdigit() else PORT, way.context) as address:
        yield Operator(address, name, authority, tunnel=True)


def _text(path: str, flag: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CLIError(f"{flag}: {path} cannot be read: {error}") from None

"""What a person asks of sidecars through the operator, on the command line: `dump`, `tap` and `send-test-span`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from tracekeeper_spec.condition import find_problems
from tracekeeper_spec.units import parse_duration

if TYPE_CHECKING:
    from tracekeeper_cli.way import Way

FAULTY = 2

# gRPC and the cluster's client take a while: what is wrong with the command line itself is said before.


def add(commands: Any) -> list[argparse.ArgumentParser]:
    """The three commands, without what all commands have."""
    dump = commands.add_parser("dump", help="have all pods of a config send what sampling has left out")
    dump.add_argument("--to", required=True, metavar="BACKEND", help="name of a backend of the config")
    dump.add_argument("--since", type=duration, default=600.0, metavar="10m", help="how far back (default: 10m)")
    dump.add_argument("--where", default="", metavar="CONDITION", help="which spans (default: all that were left out)")
    dump.add_argument(
        "--forgotten", action="store_true", help="also spans of which it is not known whether they were left out"
    )
    dump.add_argument("--timeout", type=duration, default=600.0, metavar="10m", help="end after this long")
    dump.set_defaults(command=_dump)
    tap = commands.add_parser("tap", help="show a few spans as they come, as sidecars of a config store them")
    tap.add_argument("--pod", default="", metavar="POD", help="of this pod alone (default: of up to 20 pods)")
    tap.add_argument("--spans", type=int, default=10, metavar="10", help="end after so many (default: 10)")
    tap.add_argument(
        "--for", dest="seconds", type=duration, default=60.0, metavar="1m", help="end after this long (default: 1m)"
    )
    tap.add_argument("--where", default="", metavar="CONDITION", help="which spans (default: all)")
    tap.add_argument("-o", "--output", choices=["text", "json"], default="text", help="json: OTLP's, a request a line")
    tap.set_defaults(command=_tap)
    test = commands.add_parser(
        "send-test-span", help="send a span through a sidecar of a config, and say where it came"
    )
    test.add_argument("--pod", default="", metavar="POD", help="through this pod's sidecar (default: any)")
    test.add_argument(
        "--timeout", type=duration, default=90.0, metavar="90s", help="end after this long (default: 90s)"
    )
    test.set_defaults(command=_test)
    for command in (dump, tap, test):
        add_way(command)
    return [dump, tap, test]


def duration(text: str) -> float:
    """Seconds, for argparse."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text}: it must be longer than no time")
    return seconds


def add_way(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", metavar="CONFIG", help="the TracingConfig")
    command.add_argument("-n", "--namespace", help="of the TracingConfig (default: the context's)")
    who = command.add_mutually_exclusive_group()
    who.add_argument("--token-file", metavar="FILE", help="who asks: a token (default: that of the kubeconfig)")
    who.add_argument("--service-account", metavar="[NAMESPACE/]NAME", help="who asks: a new token of this account")
    command.add_argument(
        "--operator-namespace", default="tracekeeper-system", metavar="NAMESPACE", help="of the operator"
    )
    command.add_argument("--server", metavar="HOST:PORT", help="the operator's control server (default: kubectl's way)")
    command.add_argument(
        "--ca", metavar="FILE", help="authority of its certificate (default: ConfigMap tracekeeper-ca)"
    )


def way_of(options: argparse.Namespace) -> Way:
    from tracekeeper_cli.way import Way  # noqa: PLC0415 - see above

    return Way(
        options.context,
        options.operator_namespace,
        options.server,
        options.ca,
        options.token_file,
        options.service_account,
    )


def _is_faulty(where: str) -> bool:
    problems = find_problems(where) if where else []
    for problem in problems:
        print(f"--where: {problem}", file=sys.stderr)
    return bool(problems)


def _dump(options: argparse.Namespace) -> int:
    if _is_faulty(options.where):
        return FAULTY
    from tracekeeper_cli.cli_dump import run  # noqa: PLC0415 - see above
    from tracekeeper_proto.control.v1.control_pb2 import DumpRequest  # noqa: PLC0415

    asked = DumpRequest(
        config=options.config,
        since_seconds=options.since,
        where=options.where,
        backend=options.to,
        forgotten=options.forgotten,
        timeout_seconds=options.timeout,
    )
    return run(way_of(options), options.namespace, asked)


def _tap(options: argparse.Namespace) -> int:
    if _is_faulty(options.where):
        return FAULTY
    if not 0 < options.spans <= 1000:
        print("--spans: more than none, and at most 1000", file=sys.stderr)
        return FAULTY
    from tracekeeper_cli.cli_tap import run  # noqa: PLC0415 - see above
    from tracekeeper_proto.control.v1.control_pb2 import TapRequest  # noqa: PLC0415

    asked = TapRequest(
        config=options.config,
        pod=options.pod,
        spans=options.spans,
        seconds=options.seconds,
        where=options.where,
    )
    return run(way_of(options), options.namespace, asked, json=options.output == "json")


def _test(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_trial import run  # noqa: PLC0415 - see above
    from tracekeeper_proto.control.v1.control_pb2 import TestRequest  # noqa: PLC0415

    asked = TestRequest(config=options.config, pod=options.pod, timeout_seconds=options.timeout)
    return run(way_of(options), options.namespace, asked)

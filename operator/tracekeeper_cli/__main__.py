"""`tracekeeper`, also as `kubectl tracekeeper`: check, status, ledger, dump, explain, doctor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tracekeeper_cli.errors import CLIError
from tracekeeper_spec.units import parse_duration

FAULTY, FAILED = 2, 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 the manifest has faults."""
    options = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except CLIError as error:
        print(f"tracekeeper: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("tracekeeper: interrupted", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tracekeeper", description="See what Tracekeeper does in your cluster.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="report every fault of a TracingConfig manifest; needs no cluster")
    check.add_argument("file", metavar="FILE")
    check.set_defaults(command=_check)
    status = commands.add_parser("status", help="TracingConfigs and their conditions")
    scope = status.add_mutually_exclusive_group()
    scope.add_argument("-n", "--namespace")
    scope.add_argument("-A", "--all-namespaces", action="store_true")
    status.set_defaults(command=_status)
    ledger = commands.add_parser("ledger", help="what became of every span of one pod")
    ledger.add_argument("pod", metavar="POD")
    ledger.add_argument("-n", "--namespace")
    ledger.add_argument("-o", "--output", choices=["text", "json"], default="text")
    ledger.set_defaults(command=_ledger)
    dump = commands.add_parser("dump", help="have all pods of a config send what sampling has left out")
    _add_dump(dump)
    network = commands.add_parser("network-policy", help="what sidecars need where everything is denied by default")
    network.add_argument("-n", "--namespace", help="where pods are injected (default: the context's)")
    network.add_argument(
        "--operator-namespace", metavar="NAMESPACE", help="of the operator (default: found by its webhook)"
    )
    network.set_defaults(command=_network_policy)
    looks = _add_looks(commands)
    for command in (status, ledger, dump, network, *looks):
        command.add_argument("--context", help="kube context (default: the current one)")
    return parser


def _add_looks(commands: Any) -> list[argparse.ArgumentParser]:
    """Commands that judge what is there."""
    explain = commands.add_parser("explain", help="which TracingConfigs apply to a pod, and why it is as it is")
    explain.add_argument("kind", choices=["pod"])
    explain.add_argument("name", metavar="NAME")
    explain.add_argument("-n", "--namespace")
    explain.set_defaults(command=_explain)
    doctor = commands.add_parser("doctor", help="what is wrong, and what to do about it; exit code 1 if anything is")
    scope = doctor.add_mutually_exclusive_group()
    scope.add_argument("-n", "--namespace")
    scope.add_argument("-A", "--all-namespaces", action="store_true")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(command=_doctor)
    uninstall = commands.add_parser("uninstall", help="what an uninstall would remove and keep; it changes nothing")
    uninstall.add_argument("--dry-run", action="store_true", required=True, help="the only way: Helm uninstalls")
    uninstall.set_defaults(command=_uninstall)
    for command in (explain, doctor, uninstall):
        command.add_argument(
            "--operator-namespace", metavar="NAMESPACE", help="of the operator (default: found by its webhook)"
        )
    return [explain, doctor, uninstall]


def _add_dump(dump: argparse.ArgumentParser) -> None:
    dump.add_argument("config", metavar="CONFIG", help="the TracingConfig")
    dump.add_argument("-n", "--namespace", help="of the TracingConfig (default: the context's)")
    dump.add_argument("--to", required=True, metavar="BACKEND", help="name of a backend of the config")
    dump.add_argument("--since", type=_duration, default=600.0, metavar="10m", help="how far back (default: 10m)")
    dump.add_argument("--where", default="", metavar="CONDITION", help="which spans (default: all that were left out)")
    dump.add_argument(
        "--forgotten", action="store_true", help="also spans of which it is not known whether they were left out"
    )
    dump.add_argument("--timeout", type=_duration, default=600.0, metavar="10m", help="end after this long")
    who = dump.add_mutually_exclusive_group()
    who.add_argument("--token-file", metavar="FILE", help="who asks: a token (default: that of the kubeconfig)")
    who.add_argument("--service-account", metavar="[NAMESPACE/]NAME", help="who asks: a new token of this account")
    dump.add_argument("--operator-namespace", default="tracekeeper-system", metavar="NAMESPACE", help="of the operator")
    dump.add_argument("--server", metavar="HOST:PORT", help="the operator's control server (default: kubectl's way)")
    dump.add_argument("--ca", metavar="FILE", help="authority of its certificate (default: ConfigMap tracekeeper-ca)")
    dump.set_defaults(command=_dump)


def _duration(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text}: it must be longer than no time")
    return seconds


def _check(options: argparse.Namespace) -> int:
    from tracekeeper_spec.manifest import load_manifest
    from tracekeeper_spec.resolve import check_resolved, resolve

    try:
        with open(options.file, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CLIError(f"{options.file}: cannot be read: {error}") from None
    manifest, faults = load_manifest(text, options.file)
    if manifest is not None:
        # What only the whole can tell, as the sidecar's own check does.
        faults = [replace(fault, file=options.file) for fault in check_resolved(resolve(manifest.spec))]
    for fault in faults:
        print(fault.located(), file=sys.stderr)
    print(f"{options.file}: {len(faults) or 'no'} {'fault' if len(faults) == 1 else 'faults'}")
    return FAULTY if faults else 0


def _status(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cluster import Cluster
    from tracekeeper_cli.tables import status_text

    cluster = Cluster(options.context)
    namespace = None if options.all_namespaces else options.namespace or cluster.namespace
    configs = cluster.tracing_configs(namespace)
    if not configs:
        where = f"in namespace {namespace}" if namespace else "in any namespace"
        print(f"no TracingConfig {where}; examples/tracingconfig.yaml is one to start from")
        return 0
    print(status_text(configs))
    return 0


def _ledger(options: argparse.Namespace) -> int:
    from google.protobuf.json_format import Parse, ParseError

    from tracekeeper_cli.cluster import Cluster
    from tracekeeper_cli.tables import ledger_text
    from tracekeeper_proto.ledger.v1.ledger_pb2 import Ledger

    cluster = Cluster(options.context)
    namespace = options.namespace or cluster.namespace
    text = cluster.ledger(namespace, options.pod)
    if options.output == "json":
        print(text)
        return 0
    try:
        # Unknown fields come from a sidecar newer than this command line; what is known is still true.
        ledger = Parse(text, Ledger(), ignore_unknown_fields=True)
    except ParseError as error:
        where = f"the sidecar of {namespace}/{options.pod}"
        raise CLIError(f"{where} answers with something else than a ledger: {error}") from None
    print(ledger_text(ledger))
    return 0


def _network_policy(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_network_policy import run

    return run(options)


def _explain(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_looks import explain

    return explain(options)


def _doctor(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_looks import doctor

    return doctor(options)


def _uninstall(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_looks import uninstall

    return uninstall(options)


def _dump(options: argparse.Namespace) -> int:
    from tracekeeper_proto.control.v1.control_pb2 import DumpRequest
    from tracekeeper_spec.condition import find_problems

    if options.where and (problems := find_problems(options.where)):
        for problem in problems:
            print(f"--where: {problem}", file=sys.stderr)
        return FAULTY
    # gRPC and the cluster's client take a while: what is wrong with the command line itself is said at once.
    from tracekeeper_cli.cli_dump import Way, run

    asked = DumpRequest(
        config=options.config,
        since_seconds=options.since,
        where=options.where,
        backend=options.to,
        forgotten=options.forgotten,
        timeout_seconds=options.timeout,
    )
    way = Way(
        options.context,
        options.operator_namespace,
        options.server,
        options.ca,
        options.token_file,
        options.service_account,
    )
    return run(way, options.namespace, asked)


if __name__ == "__main__":
    sys.exit(main())

"""`tracekeeper`, also as `kubectl tracekeeper`: what the cluster does with spans, for people."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tracekeeper_cli import cli_alerts, cli_budget, cli_people
from tracekeeper_cli.errors import CLIError

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
    people = [*cli_people.add(commands), *cli_budget.add(commands)]
    network = commands.add_parser("network-policy", help="what sidecars need where everything is denied by default")
    network.add_argument("-n", "--namespace", help="where pods are injected (default: the context's)")
    network.add_argument(
        "--operator-namespace", metavar="NAMESPACE", help="of the operator (default: found by its webhook)"
    )
    network.set_defaults(command=_network_policy)
    looks = [*_add_looks(commands), *_add_rollout(commands), *cli_alerts.add(commands, cli_people.duration)]
    for command in (status, ledger, *people, network, *looks):
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


def _add_rollout(commands: Any) -> list[argparse.ArgumentParser]:
    rollout = commands.add_parser("rollout", help="how a changed policy comes to the pods, and the way back")
    actions = rollout.add_subparsers(required=True, metavar="ACTION")
    status = actions.add_parser("status", help="how far it is; exit code 1 if it was taken back")
    status.add_argument(
        "--wait", type=cli_people.duration, default=0.0, metavar="10m", help="until it is complete, for so long at most"
    )
    status.set_defaults(command=_rollout_status)
    undo = actions.add_parser("undo", help="have the TracingConfig say again what it said before")
    undo.add_argument("--dry-run", action="store_true", help="have the API server check it, and change nothing")
    undo.set_defaults(command=_rollout_undo)
    for action in (status, undo):
        action.add_argument("name", metavar="NAME", help="the TracingConfig")
        action.add_argument("-n", "--namespace")
    return [status, undo]


def _check(options: argparse.Namespace) -> int:
    from tracekeeper_spec.alert.review import review
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
        reviewed = review(manifest)
        faults = [
            replace(fault, file=options.file) for fault in (*check_resolved(resolve(manifest.spec)), *reviewed.faults)
        ]
        for warning in reviewed.warnings:
            print(f"warning: {warning}", file=sys.stderr)
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


def _rollout_status(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_rollout import status

    return status(options)


def _rollout_undo(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_rollout import back

    return back(options)


def _explain(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_looks import explain

    return explain(options)


def _doctor(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_looks import doctor

    return doctor(options)


def _uninstall(options: argparse.Namespace) -> int:
    from tracekeeper_cli.cli_looks import uninstall

    return uninstall(options)


if __name__ == "__main__":
    sys.exit(main())

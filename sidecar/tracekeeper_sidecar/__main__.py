"""The command line: `tracekeeper-sidecar run | check | flush | log | dead-letter | dump | redact`.

Only what the chosen command needs is imported.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from tracekeeper_sidecar.settings import Address, Listen, Settings

T = TypeVar("T")
FAULTY, FAILED = 2, 1
ADMIN = "http://127.0.0.1:14316"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 the configuration has faults."""
    options = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tracekeeper-sidecar", description="Keeps spans safe on disk and delivers them."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="receive spans, keep them, deliver them"))
    check = commands.add_parser("check", help="report every fault of a TracingConfig manifest at once; exit 2 if any")
    check.add_argument("--config", required=True, metavar="FILE")
    check.set_defaults(command=_check)
    flush = commands.add_parser("flush", help="wait until all that is pending now has been delivered")
    flush.add_argument("--timeout", type=_duration, default=10.0, metavar="10s", help="give up after this long")
    flush.add_argument("--admin", default=ADMIN, metavar="URL", help="the sidecar's metrics port")
    flush.set_defaults(command=_flush)
    _add_log(commands.add_parser("log", help="what a data directory holds, and whether it is sound; changes nothing"))
    _add_dead_letter(commands.add_parser("dead-letter", help="list what backends have refused, and send it again"))
    _add_dump(commands.add_parser("dump", help="send what sampling has left out and the disk still holds"))
    redact = commands.add_parser("redact", help="show what would be hidden in a file of spans, and why")
    redact.add_argument(
        "--explain", required=True, metavar="FILE", help="OTLP: protobuf, JSON, or a line of JSON for each request"
    )
    redact.add_argument("--config", metavar="FILE", help="a TracingConfig manifest (default: a step Redact as it is)")
    redact.add_argument("--json", action="store_true", help="as a line of JSON for each finding")
    redact.set_defaults(command=_redact)
    return parser


def _add_log(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    inspect = commands.add_parser("inspect", help="the ledger, the segments and the cursors")
    inspect.add_argument("--json", action="store_true", help="as JSON")
    inspect.set_defaults(command=_inspect_log)
    verify = commands.add_parser("verify", help="read and check everything; exit 1 when something is wrong")
    verify.set_defaults(command=_verify_log)
    for command in inspect, verify:
        command.add_argument("dir", metavar="DIR", help="a data directory; a sidecar may be running on it")


def _add_dead_letter(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("list", help="one line for each refused request that is kept")
    show.add_argument("--json", action="store_true", help="as JSON")
    replay = commands.add_parser("replay", help="send them again; those that are taken are removed")
    replay.add_argument("--timeout", type=_duration, default=60.0, metavar="60s", help="begin no send after this long")
    replay.add_argument("--config", metavar="FILE", help="with DIR: the TracingConfig manifest that names the backends")
    replay.add_argument("--secrets-dir", metavar="DIR", help="with --config: secrets as files DIR/NAME/KEY")
    for command, run in (show, _list_letters), (replay, _replay_letters):
        command.add_argument("--admin", default=ADMIN, metavar="URL", help="the running sidecar's metrics port")
        command.add_argument(
            "dir", nargs="?", metavar="DIR", help="a data directory that no sidecar runs on (default: ask one)"
        )
        command.set_defaults(command=run)


def _add_dump(dump: argparse.ArgumentParser) -> None:
    dump.add_argument("--since", type=_duration, default=600.0, metavar="10m", help="how far back (default: 10m)")
    dump.add_argument("--where", default="", metavar="CONDITION", help="which spans (default: all that were left out)")
    dump.add_argument("--to", required=True, metavar="BACKEND", help="name of a backend of the config in force")
    dump.add_argument(
        "--forgotten", action="store_true", help="also spans of which it is not known whether they were left out"
    )
    dump.add_argument("--timeout", type=_duration, default=600.0, metavar="10m", help="end after this long")
    dump.add_argument("--admin", default=ADMIN, metavar="URL", help="the running sidecar's metrics port")
    dump.set_defaults(command=_dump)


def _add_run(run: argparse.ArgumentParser) -> None:
    source = run.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", metavar="FILE", help="a TracingConfig manifest; faults end the process with exit 2")
    source.add_argument(
        "--policy",
        metavar="FILE",
        help="the operator's policy document; may come later, never ends the process",
    )
    run.add_argument("--secrets-dir", metavar="DIR", help="with --config: secrets as files DIR/NAME/KEY")
    run.add_argument("--pod-info", metavar="DIR", help="with --policy: downward API folder with labels and annotations")
    run.add_argument(
        "--control-token",
        metavar="FILE",
        help="with --policy: the pod's token for the operator, which tells what other pods see and keep",
    )
    run.add_argument("--data-dir", required=True, metavar="DIR", help="where spans are kept until they are delivered")
    run.add_argument(
        "--storage-size",
        type=_quantity,
        metavar="1Gi",
        help="hard limit for DIR (default: the config's, or 1Gi)",
    )
    run.add_argument(
        "--storage-history",
        type=_quantity,
        metavar="512Mi",
        help="how much of it delivered spans may keep while nothing else needs the room (default: half)",
    )
    run.add_argument(
        "--adopt-from", metavar="DIR", help="folder that DIR of --data-dir is in: deliver what pods that are gone left"
    )
    run.add_argument("--adopt-after", type=_duration, default=15.0, metavar="15s", help="how long a pod must be gone")
    run.add_argument(
        "--grpc-listen", type=_address, metavar="HOST:PORT", help="OTLP over gRPC (default 127.0.0.1:4317)"
    )
    run.add_argument(
        "--http-listen", type=_address, metavar="HOST:PORT", help="OTLP over HTTP (default 127.0.0.1:4318)"
    )
    # The operator says these by the environment: earlier versions, to which pods may fall back, would refuse the flags.
    run.add_argument(
        "--zipkin",
        action="store_true",
        default=os.environ.get("TRACEKEEPER_ZIPKIN") == "true",
        help="take Zipkin's JSON too, on the port of OTLP over HTTP",
    )
    run.add_argument(
        "--zipkin-listen",
        type=_address,
        metavar="HOST:PORT",
        default=os.environ.get("TRACEKEEPER_ZIPKIN_LISTEN"),
        help="and on a port of its own (usually 9411)",
    )
    run.add_argument(
        "--openai-parent-from-request",
        action="store_true",
        default=os.environ.get("TRACEKEEPER_OPENAI_PARENT_FROM_REQUEST") == "true",
        help="headers of an export to OpenAI's trace ingest may name the parent of its trace",
    )
    run.add_argument("--metrics-listen", type=_address, metavar="HOST:PORT", help="metrics, health (default :14316)")
    run.add_argument("--drain-timeout", type=_duration, metavar="20s", help="how long a stop waits for pending spans")
    run.add_argument(
        "--log-level",
        default="Info",
        choices=["Debug", "Info", "Warning", "Error"],
        help="until the policy says otherwise",
    )
    run.add_argument("--log-format", default="auto", choices=["auto", "json", "text"])
    run.set_defaults(command=_run)


def _typed(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _address(text: str) -> Address:
    return _typed(Address.parse, text)


def _duration(text: str) -> float:
    from tracekeeper_spec.units import parse_duration

    return _typed(parse_duration, text)


def _quantity(text: str) -> int:
    from tracekeeper_spec.units import parse_quantity

    return _typed(parse_quantity, text)


def _check(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar.control.check import check_file

    faults = check_file(options.config)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print(f"{options.config}: {len(faults)} fault{'s' if len(faults) > 1 else ''}", file=sys.stderr)
        return FAULTY
    print(f"{options.config}: no faults")
    return 0


def _flush(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar.admin.client import request_flush

    done, message = request_flush(options.admin, options.timeout)
    print(message, file=sys.stdout if done else sys.stderr)
    return 0 if done else FAILED


def _list_letters(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar.cli_dead_letter import Where, show

    return show(Where(options.admin, options.dir), options.json)


def _replay_letters(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar.cli_dead_letter import Where, send_again

    return send_again(Where(options.admin, options.dir, options.config, options.secrets_dir), options.timeout)


def _dump(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar.cli_dump import Ask, dump

    asked = Ask(options.since, options.where, options.to, options.forgotten, options.timeout)
    return dump(options.admin, asked)


def _redact(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar.cli_redact import explain

    return explain(options.explain, options.config, as_json=options.json)


def _run(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar import logs, memory

    memory.share_one_arena()
    memory.keep_some()
    logs.configure(options.log_level, options.log_format)
    settings = _manifest_settings(options) if options.config else _pod_settings(options)
    if settings is None:
        return FAULTY
    from tracekeeper_sidecar.admin import port
    from tracekeeper_sidecar.errors import ListenError

    try:
        admin = port.take(settings.listen.admin)
    except ListenError as error:
        print(f"tracekeeper-sidecar: {error}", file=sys.stderr)
        return FAILED
    from tracekeeper_sidecar.app import serve

    return serve(settings, admin)


def _inspect_log(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar.cli_log import inspect

    return inspect(options.dir, as_json=options.json)


def _verify_log(options: argparse.Namespace) -> int:
    from tracekeeper_sidecar.cli_log import verify

    return verify(options.dir)


def _listen(options: argparse.Namespace, default: Listen) -> Listen:
    return Listen(
        grpc=options.grpc_listen or default.grpc,
        http=options.http_listen or default.http,
        admin=options.metrics_listen or default.admin,
        zipkin=options.zipkin_listen or default.zipkin,
    )


def _pod_settings(options: argparse.Namespace) -> Settings:
    return Settings(
        data_dir=options.data_dir,
        storage_bytes=options.storage_size or 1 << 30,
        storage_history=options.storage_history,
        listen=_listen(options, Listen()),
        policy_file=options.policy,
        pod_info_dir=options.pod_info,
        control_token=options.control_token,
        adopt_from=options.adopt_from,
        adopt_after=options.adopt_after,
        zipkin=options.zipkin or options.zipkin_listen is not None,
        openai_parent_from_request=options.openai_parent_from_request,
        drain_timeout=20.0 if options.drain_timeout is None else options.drain_timeout,
    )


def _history(options: argparse.Namespace, configured: int) -> int | None:
    if options.storage_history is not None:
        return int(options.storage_history)
    # A size of its own on the command line has nothing to do with the config's history.
    return None if options.storage_size else configured


def _manifest_settings(options: argparse.Namespace) -> Settings | None:
    """Settings with the manifest's ports, size and drain timeout; None, and its faults printed, when it has any."""
    from tracekeeper_sidecar.control.source import ManifestSource
    from tracekeeper_sidecar.errors import PolicyError
    from tracekeeper_spec.config import ParentFrom

    try:
        instruction = ManifestSource(options.config, options.secrets_dir).read()
    except (PolicyError, OSError) as error:
        for fault in error.faults if isinstance(error, PolicyError) else [f"{options.config}: {error}"]:
            print(fault, file=sys.stderr)
        print(f"{options.config}: not started: correct the manifest and run again", file=sys.stderr)
        return None
    assert instruction is not None
    sidecar = instruction.spec.sidecar
    zipkin = sidecar.receivers.zipkin
    ports = Listen(
        zipkin=Address("127.0.0.1", zipkin.port) if zipkin is not None and zipkin.port is not None else None,
        grpc=Address("127.0.0.1", sidecar.receivers.otlp.grpc_port),
        http=Address("127.0.0.1", sidecar.receivers.otlp.http_port),
        # On a laptop nobody outside needs the metrics; in a pod --metrics-listen says otherwise.
        admin=Address("127.0.0.1", sidecar.ports.metrics),
    )
    return Settings(
        data_dir=options.data_dir,
        storage_bytes=options.storage_size or sidecar.storage.size,
        storage_history=_history(options, sidecar.storage.history),
        listen=_listen(options, ports),
        config_file=options.config,
        secrets_dir=options.secrets_dir,
        adopt_from=options.adopt_from,
        adopt_after=options.adopt_after,
        zipkin=zipkin is not None or options.zipkin or options.zipkin_listen is not None,
        openai_parent_from_request=options.openai_parent_from_request
        or sidecar.receivers.openai.parent_from is ParentFrom.METADATA_OR_REQUEST,
        drain_timeout=sidecar.drain_timeout if options.drain_timeout is None else options.drain_timeout,
    )


if __name__ == "__main__":
    sys.exit(main())

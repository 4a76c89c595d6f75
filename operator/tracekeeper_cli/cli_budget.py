"""The commands `tracekeeper budget status` and `tracekeeper budget top`: how budgets stand, and who has spent most."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from tracekeeper_cli import cli_people

if TYPE_CHECKING:
    from tracekeeper_proto.budget.v1.budget_pb2 import StatusReply, TopReply

DIMENSIONS = ("agent", "model", "user", "project", "environment", "conversation")
DONE, EXCEEDED = 0, 1
SECONDS = 30.0
"""That an answer may take."""


def add(commands: Any) -> list[argparse.ArgumentParser]:
    """Both commands, without what all commands have."""
    budget = commands.add_parser("budget", help="how budgets stand, and who has spent most of them")
    actions = budget.add_subparsers(required=True, metavar="ACTION")
    status = actions.add_parser("status", help="the budgets of a config; exit code 1 if one of them is exceeded")
    status.add_argument("--budget", default="", metavar="NAME", help="this one, with its keys (default: all)")
    status.set_defaults(command=_status)
    top = actions.add_parser("top", help="who has spent most of a budget in its period")
    top.add_argument("--budget", default="", metavar="NAME", help="which one (default: the config's only one)")
    top.add_argument("--by", choices=DIMENSIONS, default="agent", help="(default: agent)")
    top.add_argument("--count", type=int, default=10, metavar="10", help="how many, at most 100 (default: 10)")
    top.set_defaults(command=_top)
    for action in (status, top):
        cli_people.add_way(action)
        action.add_argument("-o", "--output", choices=["text", "json"], default="text")
    return [status, top]


def _status(options: argparse.Namespace) -> int:
    from tracekeeper_cli.budgets import keys_text, status_text  # noqa: PLC0415 - gRPC takes a while

    found = _all(options)
    shown = [each for each in found.budgets if options.budget in ("", each.name)]
    if options.budget and not shown:
        raise _unknown(options.budget, found)
    if options.output == "json":
        _print_json(found)
    else:
        print(status_text(shown))
        if options.budget:
            print(keys_text(shown))
    return EXCEEDED if any(each.state == "Exceeded" for each in shown) else DONE


def _top(options: argparse.Namespace) -> int:
    from tracekeeper_cli.budgets import ask, top_text  # noqa: PLC0415
    from tracekeeper_proto.budget.v1.budget_pb2 import TopReply, TopRequest  # noqa: PLC0415

    if not 0 < options.count <= 100:
        print("--count: more than none, and at most 100", file=sys.stderr)
        return cli_people.FAULTY
    name = options.budget or _only(options)
    asked = TopRequest(config=options.config, budget=name, by=options.by.capitalize(), count=options.count)
    found: TopReply = ask(cli_people.way_of(options), options.namespace, "Top", asked, TopReply, SECONDS)
    if options.output == "json":
        _print_json(found)
    else:
        print(top_text(name, options.by, found))
    return DONE


def _only(options: argparse.Namespace) -> str:
    """The name of the config's only budget. Raises CLIError."""
    from tracekeeper_cli.errors import CLIError  # noqa: PLC0415

    names = sorted({each.name for each in _all(options).budgets})
    if len(names) != 1:
        raise CLIError(
            f"{options.config} has the budgets {', '.join(names)}: say which one with --budget"
            if names
            else f"{options.config} has no budget: write one into spec.budgets"
        )
    return names[0]


def _all(options: argparse.Namespace) -> StatusReply:
    from tracekeeper_cli.budgets import ask  # noqa: PLC0415
    from tracekeeper_proto.budget.v1.budget_pb2 import StatusReply, StatusRequest  # noqa: PLC0415

    asked = StatusRequest(config=options.config)
    return ask(cli_people.way_of(options), options.namespace, "Status", asked, StatusReply, SECONDS)


def _unknown(name: str, found: StatusReply) -> Exception:
    from tracekeeper_cli.errors import CLIError  # noqa: PLC0415

    known = ", ".join(sorted({each.name for each in found.budgets})) or "none"
    return CLIError(f"there is no budget {name!r}; there are: {known}")


def _print_json(found: StatusReply | TopReply) -> None:
    from google.protobuf.json_format import MessageToJson  # noqa: PLC0415

    print(MessageToJson(found, always_print_fields_with_no_presence=True))

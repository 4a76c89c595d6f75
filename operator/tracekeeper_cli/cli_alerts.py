"""`tracekeeper alerts`: `list` asks Prometheus, `test` asks Alertmanager, both with the person's own rights."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracekeeper_cli.errors import CLIError

if TYPE_CHECKING:
    from tracekeeper_cli.cluster import Cluster
    from tracekeeper_cli.monitoring import Place, Program
    from tracekeeper_cli.world import World
    from tracekeeper_spec.config import TracingConfig

DONE, FAILED = 0, 1
LOOK_EVERY = 1.0
"""Seconds."""

# Clients take a while to import: what is wrong with the command line itself is said before.


def add(commands: Any, duration: Any) -> list[argparse.ArgumentParser]:
    """The commands, without what all commands have. `duration` reads a time."""
    alerts = commands.add_parser("alerts", help="the rules and channels of TracingConfigs")
    actions = alerts.add_subparsers(required=True, metavar="ACTION")
    rules = actions.add_parser("list", help="the rules: what is compiled, what Prometheus has loaded, what fires")
    rules.add_argument("name", nargs="?", metavar="CONFIG", help="of this TracingConfig (default: of all)")
    scope = rules.add_mutually_exclusive_group()
    scope.add_argument("-n", "--namespace")
    scope.add_argument("-A", "--all-namespaces", action="store_true")
    rules.add_argument("--prometheus", metavar="PLACE", help="its URL, or NAMESPACE/SERVICE:PORT (default: found)")
    rules.set_defaults(command=_list)
    test = actions.add_parser("test", help="send a test notification to one channel, through Alertmanager")
    test.add_argument("channel", metavar="CHANNEL", help="name of a channel of a TracingConfig")
    test.add_argument("--config", metavar="CONFIG", help="the TracingConfig (default: the one that has this channel)")
    test.add_argument("-n", "--namespace", help="of the TracingConfig (default: the context's)")
    test.add_argument("--alertmanager", metavar="PLACE", help="its URL, or NAMESPACE/SERVICE:PORT (default: found)")
    test.add_argument("--timeout", type=duration, default=120.0, metavar="2m", help="end after this long (default: 2m)")
    test.set_defaults(command=_test)
    for action in (rules, test):
        action.add_argument("--operator-namespace", metavar="NAMESPACE", help="of the operator (default: found)")
    return [rules, test]


def _list(options: argparse.Namespace) -> int:
    from tracekeeper_cli.alert_list import Item, listing, states  # noqa: PLC0415 - see above
    from tracekeeper_cli.cluster import Cluster  # noqa: PLC0415
    from tracekeeper_cli.monitoring import PROMETHEUS, ask_json, way  # noqa: PLC0415
    from tracekeeper_spec.alert.compile import compile_alerts  # noqa: PLC0415
    from tracekeeper_spec.alert.compiled import Links  # noqa: PLC0415

    cluster = Cluster(options.context)
    namespace = None if options.all_namespaces else options.namespace or cluster.namespace
    raw = [item for item in cluster.tracing_configs(namespace) if options.name in (None, item["metadata"]["name"])]
    configs = [config for config in _read(raw) if config.spec.alerts is not None]
    if not configs:
        where = f"namespace {namespace}" if namespace else "any namespace"
        print(
            f"no TracingConfig of {where} has `alerts` of its own; `alerts: {{}}` gets it the rules that come with it"
        )
        return DONE
    world, place = _place(cluster, PROMETHEUS, options.prometheus, options.operator_namespace)
    conditions = {(each["metadata"]["namespace"], each["metadata"]["name"]): _rules_loaded(each) for each in raw}
    items = []
    for config in configs:
        assert config.spec.alerts is not None
        root = config.namespace == world.root
        budgets = config.spec.budgets or ()
        made = compile_alerts(config.spec.alerts, budgets, config.namespace, config.name, root=root, links=Links())
        items.append(Item(f"{config.namespace}/{config.name}", made, conditions[config.namespace, config.name]))
    known, why = None, "set the chart's value prometheus.url, or say --prometheus"
    if place is not None:
        try:
            with way(PROMETHEUS, place, options.context) as url:
                known = states(ask_json(f"{url}/api/v1/rules"))
        except CLIError as error:
            why = str(error)
    print(listing(items, known))
    if known is None:
        print(f"what Prometheus has loaded is not known: {why}", file=sys.stderr)
    return FAILED if any(item.compiled.faults for item in items) else DONE


def _test(options: argparse.Namespace) -> int:
    from tracekeeper_cli.channel_test import alert, chosen  # noqa: PLC0415 - see above
    from tracekeeper_cli.cluster import Cluster  # noqa: PLC0415
    from tracekeeper_cli.monitoring import ALERTMANAGER, way  # noqa: PLC0415

    cluster = Cluster(options.context)
    namespace = options.namespace or cluster.namespace
    config, channel = chosen(_read(cluster.tracing_configs(namespace)), options.channel, options.config)
    _, place = _place(cluster, ALERTMANAGER, options.alertmanager, options.operator_namespace)
    if place is None:
        raise CLIError(
            "where Alertmanager is, is not known: set the chart's value alertmanager.url, or say --alertmanager "
            "http://HOST:PORT or NAMESPACE/SERVICE:PORT"
        )
    mark = secrets.token_hex(4)
    print(f"testing channel {channel.name} of {config.namespace}/{config.name} through {place}", file=sys.stderr)
    with way(ALERTMANAGER, place, options.context) as url:
        return _watch(url, config, channel, alert(config, channel, time.time(), mark), options.timeout)


def _watch(url: str, config: TracingConfig, channel: Any, test: Mapping[str, Any], patience: float) -> int:
    """Send the test, and see what comes of it. Raises CLIError."""
    from tracekeeper_cli.channel_test import counts, leads_there, receivers, verdict  # noqa: PLC0415 - see above
    from tracekeeper_cli.monitoring import ask, ask_json  # noqa: PLC0415

    before = counts(ask(f"{url}/metrics").decode(errors="replace"), channel)
    ask(f"{url}/api/v2/alerts", [test])
    routed: list[str] | None = None
    first = None
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if routed is None and (
            routed := receivers(ask_json(f"{url}/api/v2/alerts"), test["labels"]["tracekeeper_test"])
        ):
            if not leads_there(routed, config, channel):
                print(f"Alertmanager routes it to {', '.join(routed)}, and not to the channel: it has no route for it")
                print("`kubectl describe tracingconfig` says why (RulesLoaded, Accepted); new routes take two minutes")
                return FAILED
            print(f"Alertmanager has it, and routes it to {', '.join(routed)}", file=sys.stderr)
        found = verdict(channel, before, counts(ask(f"{url}/metrics").decode(errors="replace"), channel))
        # A call is counted a moment before its failure: only the second look is believed.
        if found is not None and found == first:
            print(found[1])
            return DONE if found[0] else FAILED
        first = found
        time.sleep(LOOK_EVERY if found is None else LOOK_EVERY / 5)
    print(f"nothing was sent within {patience:g} s: a group of alerts that was told just now waits for a minute")
    return FAILED


def _read(raw: Sequence[Mapping[str, Any]]) -> list[TracingConfig]:
    """Those without faults; the others have no rules either."""
    from tracekeeper_spec.parse import parse_manifest  # noqa: PLC0415 - see above

    read = [(item, *parse_manifest(item)) for item in raw]
    for item, config, faults in read:
        if config is None:
            meta = item["metadata"]
            print(f"{meta['namespace']}/{meta['name']} has faults, and is left out: {faults[0]}", file=sys.stderr)
    return [config for _, config, _ in read if config is not None]


def _rules_loaded(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == "RulesLoaded"), None)


def _place(cluster: Cluster, program: Program, said: str | None, operator: str | None) -> tuple[World, Place | None]:
    """The operator, and where the program is."""
    from tracekeeper_cli.monitoring import find, named  # noqa: PLC0415 - see above
    from tracekeeper_cli.survey import installed  # noqa: PLC0415

    place = named(program, said) if said else None
    objects = cluster.objects()
    world = installed(objects, operator)
    return world, place or find(program, world, objects.monitoring(program.plural))

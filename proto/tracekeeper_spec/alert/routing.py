"""How a config's alerts come to its channels, in Alertmanager's terms but in nobody's format.

Both renderers take it: the one for an AlertmanagerConfig of the Prometheus operator, and the one for a plain
alertmanager.yml. Pure.

An alert goes to every channel that takes its severity. One that no channel takes matches no route of ours at all, so
that it still goes where the platform's own routes send it. A test (`tracekeeper alerts test`) goes to one channel
alone: it carries the label TEST_LABEL, which no real alert has.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.alert.section import Alerts, Group
from tracekeeper_spec.alert.severity import Severity
from tracekeeper_spec.channel import Channel

CONFIG_LABEL = "tracekeeper_config"
METRIC_LABEL = "tracekeeper_metric"
UNMEASURED = "promql"
"""The metric of rules in PromQL, of which nobody knows what they are about."""
THING_LABELS = ("budget", "key", "backend", "delivery", "reason", "pod")
"""What built-in rules tell apart besides groups."""
TEST_LABEL = "tracekeeper_channel"
"""Names the channel that a test is for."""
TEST_ALERT = "TracekeeperTest"
NOBODY = "nobody."
"""A receiver that tells nobody, where a route must name one. No channel can have this name."""

GROUP_WAIT = 10.0
"""Seconds that the first alert of a group waits for company."""
GROUP_INTERVAL = 60.0
"""Seconds after which a group's changes are told, at the earliest."""


class MatchType(StrEnum):
    """As Alertmanager writes them. Regular expressions are anchored at both ends."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    name: str
    value: str
    type: MatchType = MatchType.EQUAL

    def __str__(self) -> str:
        """`severity=~"warning|critical"`"""
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.type}"{value}"'


@dataclass(frozen=True, slots=True)
class Receiver:
    """A channel, and the two ways to it. What matches either goes on to the next channel all the same."""

    name: str
    """The channel's."""
    channel: Channel
    matchers: tuple[Matcher, ...]
    """Of its alerts, among those of the config."""
    test: tuple[Matcher, ...]
    """Of a test of it, among the config's alerts."""


@dataclass(frozen=True, slots=True)
class Inhibition:
    """Targets are not told while a source fires that has the same values in the labels `equal`."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """Times are seconds."""

    config: str
    """`namespace/name`"""
    matchers: tuple[Matcher, ...]
    """Of all alerts that any of the channels takes, tests included."""
    group_by: tuple[str, ...]
    group_wait: float
    group_interval: float
    repeat_interval: float
    receivers: tuple[Receiver, ...]
    """None at all: there is nothing to route, and nothing to write."""
    inhibitions: tuple[Inhibition, ...]


def routing(alerts: Alerts, config: str, *, root: bool = False) -> Routing:
    """The routes of the config `namespace/name`. `root`: its alerts are of any namespace, not of its own alone."""
    ours = [Matcher(CONFIG_LABEL, config)]
    if not root:
        ours.append(Matcher("namespace", config.partition("/")[0]))
    taken = {severity for channel in alerts.channels for severity in channel.severities}
    return Routing(
        config=config,
        matchers=(*ours, *_severity(taken)),
        group_by=("namespace", "alertname", CONFIG_LABEL),
        group_wait=GROUP_WAIT,
        group_interval=min(GROUP_INTERVAL, alerts.renotify),
        repeat_interval=alerts.renotify,
        receivers=tuple(_receiver(channel) for channel in alerts.channels),
        inhibitions=(_ladder(ours),),
    )


def _receiver(channel: Channel) -> Receiver:
    # Not `=""`: the custom resource takes an empty value for none at all.
    real = Matcher(TEST_LABEL, ".+", MatchType.NOT_REGEX)
    return Receiver(
        name=channel.name,
        channel=channel,
        matchers=(*_severity(set(channel.severities)), real),
        test=(Matcher(TEST_LABEL, channel.name),),
    )


def _severity(taken: set[Severity]) -> tuple[Matcher, ...]:
    if taken == set(Severity):
        return ()
    names = [severity.value for severity in Severity if severity in taken]
    return (Matcher("severity", "|".join(names), MatchType.REGEX),)


def _ladder(ours: list[Matcher]) -> Inhibition:
    """The warning of what is critical already is not told. Only where both are about one metric: of two rules that
    have none, Alertmanager would take the label that both lack for equal."""
    return Inhibition(
        source=(*ours, Matcher("severity", "critical"), Matcher(METRIC_LABEL, f"({UNMEASURED})?", MatchType.NOT_REGEX)),
        target=(*ours, Matcher("severity", "warning")),
        equal=("namespace", CONFIG_LABEL, METRIC_LABEL, *(group.label for group in Group), *THING_LABELS),
    )

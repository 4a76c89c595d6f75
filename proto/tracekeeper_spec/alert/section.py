"""The section `alerts` as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from tracekeeper_spec.alert.severity import Severity

if TYPE_CHECKING:
    from tracekeeper_spec.channel import Channel


class BuiltIn(StrEnum):
    """Which rules come with the product."""

    ALL = "All"
    PIPELINE = "Pipeline"
    AGENTS = "Agents"
    NONE = "None"


class Group(StrEnum):
    """By what a rule looks at things one by one."""

    SERVICE = "Service"
    AGENT = "Agent"
    WORKFLOW = "Workflow"
    MODEL = "Model"
    PROVIDER = "Provider"
    TOOL = "Tool"
    DETECTOR = "Detector"

    @property
    def label(self) -> str:
        """The metrics' label."""
        return self.value.lower()


class NoData(StrEnum):
    """What a rule makes of nothing to look at."""

    OK = "Ok"
    ZERO = "Zero"
    ALERT = "Alert"
    HOLD = "Hold"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. It has a `condition` or a `promql`; the other one is None."""

    name: str
    condition: str | None
    promql: str | None
    window: float
    """Seconds that rates and extremes are taken over."""
    for_: float
    """Seconds that it must hold before it fires."""
    severity: Severity
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    runbook_url: str | None = None
    group_by: tuple[Group, ...] = ()
    min_samples: int = 0
    no_data: NoData = NoData.OK
    cooldown: float = 0.0
    """Seconds that it goes on firing when it holds no longer."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """The section `alerts`."""

    built_in: BuiltIn = BuiltIn.ALL
    renotify: float = 300.0
    """Seconds after which what still fires is told again."""
    rules: tuple[Rule, ...] = ()
    channels: tuple[Channel, ...] = field(default=())
    """May be empty: then alerts are routed by their labels, by whoever owns the Alertmanager."""

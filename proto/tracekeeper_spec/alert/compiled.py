"""What comes of a config's alerts: rules as Prometheus takes them, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracekeeper_spec.alert.template import plain


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alerting rule. Times are seconds."""

    alert: str
    expr: str
    for_: float = 0.0
    keep_firing_for: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """One series that is worked out once, for several rules."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertFault:
    """Something that is wrong, or odd, with one rule. The other rules are written all the same."""

    rule: str
    """Its name."""
    at: int | None
    """Offset in its condition, or promql, from 0; None for what is wrong elsewhere."""
    problem: str
    hint: str = ""
    """What to write instead; empty when the problem says it already."""

    @property
    def text(self) -> str:
        """`rule HighErrorRate, character 6: there is no metric eror_rate (did you mean error_rate?)`"""
        place = "" if self.at is None else f", character {self.at + 1}"
        text = f"rule {self.rule}{place}: {self.problem}"
        return f"{text} ({self.hint})" if self.hint else text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Compiled:
    """The rules of one config."""

    config: str
    """`namespace/name`"""
    rules: tuple[AlertRule | RecordingRule, ...] = ()
    """Recording rules come before those that use them."""
    faults: tuple[AlertFault, ...] = ()
    """Rules that are not among `rules`."""
    warnings: tuple[AlertFault, ...] = ()
    """Rules that are, and are probably not meant so."""

    @property
    def group(self) -> str:
        """The name of their group."""
        return f"tracekeeper/{self.config}"


@dataclass(frozen=True, slots=True)
class Links:
    """Where annotations lead to, and where the operator is; empty for nowhere."""

    runbooks: str = ""
    """Address of a runbook: `https://example.com/runbooks/{name}`, or what comes before `NAME.md`."""
    trace: str = ""
    """Template of an address at which traces are looked at; `{namespace}`, `{service}` and `{agent}` stand for the
    alert's labels."""
    operator: str = ""
    """The namespace that the operator runs in: its metrics count only from there, since any pod may show some of that
    name. Empty: from anywhere."""

    def runbook(self, name: str) -> str:
        """The address of the page of that name, as a template for annotations; empty for none."""
        prefix = plain(self.runbooks)
        return prefix.replace("{name}", name) if "{name}" in prefix else prefix and f"{prefix}{name}.md"

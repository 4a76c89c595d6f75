"""One thing that is wrong, and the list of them as text or JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from tracekeeper_cli.tables import table


class Severity(StrEnum):
    """How bad it is, the worst first."""

    ERROR = "Error"
    """Spans are lost, or will be; or somebody who asked for tracing has none."""
    WARNING = "Warning"
    """It works, and not as somebody meant it to."""
    NOTE = "Note"
    """Worth knowing; nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one thing."""

    severity: Severity
    about: str
    """`pod shop/agent-0`"""
    reason: str
    """One word, CamelCase; docs/reference/cli.md has all of them."""
    problem: str
    next: str
    """What to do."""

    @property
    def wrong(self) -> bool:
        return self.severity is not Severity.NOTE


def grouped(found: Iterable[tuple[str, Finding]]) -> list[Finding]:
    """Equal ones of pods that come from the same workload as one; with each comes what it is grouped by."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for owner, finding in found:
        groups.setdefault((owner, finding.reason, finding.problem), []).append(finding)
    made = []
    for same in groups.values():
        first, more = same[0], len(same) - 1
        about = f"{first.about} and {more} more" if more else first.about
        made.append(Finding(first.severity, about, first.reason, first.problem, first.next))
    return made


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """The worst first, each once."""
    order = list(Severity)
    return sorted(dict.fromkeys(found), key=lambda each: (order.index(each.severity), each.about, each.reason))


def as_text(found: Sequence[Finding], unread: Sequence[str], looked_at: str) -> str:
    """For a person."""
    parts = []
    if found:
        rows = [[each.severity, each.about, each.reason] for each in found]
        parts.append(table(["SEVERITY", "ABOUT", "REASON"], rows))
        parts.append("\n".join(f"{each.about}: {each.reason}\n  {each.problem}\n  next: {each.next}" for each in found))
    if unread:
        parts.append("\n".join(["Not looked at, so nothing is known of it:", *(f"  - {text}" for text in unread)]))
    wrong = sum(each.wrong for each in found)
    parts.append(
        f"{looked_at}; {wrong or 'nothing'} {'thing is' if wrong == 1 else 'things are' if wrong else 'is'} wrong."
    )
    return "\n\n".join(parts)


def as_json(found: Sequence[Finding], unread: Sequence[str]) -> str:
    """For a program."""
    body = {
        "wrong": any(each.wrong for each in found),
        "findings": [asdict(each) for each in found],
        "unread": list(unread),
    }
    return json.dumps(body, indent=2)

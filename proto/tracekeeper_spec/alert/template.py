"""Annotations and labels that somebody wrote: Prometheus runs them as Go templates, which can ask for any metric.

So only what reads the alert itself is let through, and what is merely quoted is made plain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tracekeeper_spec.condition.problem import Problem

_VALUE = r"\$value(?: \| (?:humanize|humanize1024|humanizeDuration|humanizePercentage|humanizeTimestamp))?"
_LABEL = r"\$labels\.[A-Za-z_][A-Za-z0-9_]*(?: \| (?:title|toUpper|toLower))?"
_ALLOWED = re.compile(f" ?(?:{_VALUE}|{_LABEL}) ?", re.ASCII)
_STEADY = re.compile(f" ?{_LABEL} ?", re.ASCII)
HINT = "allowed are {{ $value }}, {{ $value | humanize }} and the like, and {{ $labels.NAME }}"
STEADY_HINT = "allowed is {{ $labels.NAME }}: with a value in it, each evaluation would make another alert"


def problems(text: str, *, steady: bool = False) -> Iterator[Problem]:
    """Actions in `text` that are not let through. `steady`: neither is the value, which is another one each time."""
    allowed, hint = (_STEADY, STEADY_HINT) if steady else (_ALLOWED, HINT)
    at = text.find("{{")
    while at >= 0:
        end = text.find("}}", at + 2)
        if end < 0:
            yield Problem(at, "{{ has no end", "write }} behind it")
            return
        if not allowed.fullmatch(text, at + 2, end):
            yield Problem(at, f"{text[at : min(end + 2, at + 40)]} is not let through", hint)
        at = text.find("{{", end + 2)


def plain(text: str) -> str:
    """`text` as a template that writes it as it is."""
    return text.replace("{{", '{{ "{{" }}')

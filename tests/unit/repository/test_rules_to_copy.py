"""Rules for Prometheus that the pages give to copy: a rule about a metric that does not exist never fires, and an alert
without the label `namespace` finds no team.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from known_metrics import labels_of_series

DOCS = Path(__file__).parents[3] / "docs"
SELECTOR = re.compile(r"(tracekeeper_\w+)(?:\{([^}]*)\})?")
AGGREGATIONS = re.compile(r"\b(?:sum|min|max|avg|count|topk|quantile)\b(?! by \([^)]*\bnamespace\b)")


def rules() -> list[str]:
    """Of the table of alerts, and of every example in PromQL."""
    table = (DOCS / "how-to/observe.md").read_text().split("\n## Alerts\n")[1].split("\n## ")[0]
    found = [rule for line in table.splitlines() if line.startswith("| `") for rule in line.split("`")[1:2]]
    for page in DOCS.rglob("*.md"):
        found += [text.strip() for text in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL)]
    return found


def test_there_are_rules() -> None:
    assert len(rules()) > 12


@pytest.mark.parametrize("rule", rules())
def test_rules_to_copy_name_metrics_that_exist_and_keep_the_namespace(rule: str) -> None:
    series = labels_of_series()
    named = SELECTOR.findall(rule)
    assert named
    for name, labels in named:
        assert name in series, f"no metric is called {name}"
        assert set(re.findall(r"(\w+)=~?\"", labels)) <= series[name] | {"job"}
    assert AGGREGATIONS.search(rule) is None, "it loses the label namespace, which Prometheus adds to what it scrapes"

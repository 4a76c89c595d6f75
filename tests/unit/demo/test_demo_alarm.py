"""The demo's last step, on what Prometheus, Alertmanager and Slack answer one after the other."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from demo_alarm import Alarm
from demo_progress import Progress

RULES = frozenset({"AgentFails", "AgentSpendsTooMuch"})


TEXT = "*Where:* shop\ncost &gt; 100"


def prometheus(state: str) -> str:
    alerts = [{"labels": {"alertname": name}, "state": state} for name in RULES] if state else []
    return json.dumps({"status": "success", "data": {"alerts": alerts}})


def slack(*titles: str) -> list[dict[str, Any]]:
    return [{"message": {"attachments": [{"title": title, "text": TEXT}]}} for title in titles]


ACTIVE = json.dumps([{"labels": {"alertname": name}} for name in RULES])
OLD = slack("[RESOLVED] AgentFails in shop (warning)", "[FIRING:1] AgentFails in shop (warning)")
FIRING = OLD + slack("[FIRING:1] AgentFails in shop (warning)", "[FIRING:1] AgentSpendsTooMuch in shop (critical)")
OVER = FIRING + slack("[RESOLVED] AgentSpendsTooMuch in shop (critical)", "[RESOLVED] AgentFails in shop (warning)")
JOURNEY: list[list[str | None]] = [
    [None, None, json.dumps(OLD)],
    [prometheus(""), "[]", json.dumps(OLD)],
    [prometheus("pending"), "[]", None],
    [prometheus("firing"), "[]", json.dumps(OLD)],
    [prometheus("firing"), ACTIVE, json.dumps(OLD)],
    [prometheus("firing"), ACTIVE, json.dumps(FIRING)],
    [prometheus(""), ACTIVE, json.dumps(FIRING)],
    [prometheus(""), "[]", json.dumps(OVER)],
]


def run(looks: list[list[str | None]], limit: float = 10) -> tuple[list[str], list[str], str]:
    """Faults, what the agent was told, and what was printed; the last look stays."""

    def answers() -> Iterator[list[str | None]]:
        yield from looks
        while True:
            yield looks[-1]

    told: list[str] = []
    output, each = io.StringIO(), answers()
    alarm = Alarm(
        Progress(output), lambda _: next(each), told.append, lambda: ["Loop names weather"], every=0.001, limit=limit
    )
    return alarm.run(RULES), told, output.getvalue()


def test_each_step_is_seen_and_what_a_person_reads_is_shown() -> None:
    faults, told, printed = run(JOURNEY)
    assert faults == []
    assert told == ["misbehave", "behave"]
    steps = ["pending in", "firing in", "in Alertmanager", "told in Slack", "│ [FIRING:1] AgentSpends"]
    steps += ["Loop names weather", "itself again"]
    steps += ["over in Prometheus", "resolved"]
    places = [printed.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
    assert "│ Where: shop" in printed
    assert "│ cost > 100" in printed


def test_messages_of_an_earlier_run_count_for_nothing() -> None:
    faults, told, _ = run(JOURNEY[:5], limit=0.2)
    assert len(faults) == 1
    assert "told in Slack" in faults[0]
    assert told == ["misbehave", "behave"]


def test_alerts_that_do_not_end_are_a_fault() -> None:
    faults, told, _ = run(JOURNEY[:6], limit=0.2)
    assert len(faults) == 1
    assert "over in Prometheus" in faults[0]
    assert told == ["misbehave", "behave"]

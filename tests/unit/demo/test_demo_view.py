"""What the demos show, from what backends and sidecars answer; and that what is missing is called missing."""

from __future__ import annotations

import io
from typing import Any

import pytest
from demo_diagnosis import container_troubles, hopeless
from demo_progress import DemoFailed, Progress
from demo_view import Arrived, compare, detections, ledger_faults, ledger_lines, table, trace_tree, treatment
from demo_watch import Watch


def span(name: str, own: str, parent: str = "", start: float = 1.0, **attributes: object) -> dict[str, object]:
    ids = {"trace_id": "t", "span_id": own, "parent_span_id": parent}
    return {**ids, "name": name, "service": "s", "start": start, "duration_ms": 2.0, "attributes": attributes}


LEDGER = {
    "received": "105",
    "acknowledged": "100",
    "refused": {"full": "3"},
    "suspended": "2",
    "delivery": [{"name": "a", "start": "10", "delivered": {"x": "80", "y": "5"}, "dropped": {}, "pending": "5"}],
}


def test_tables_align_words_left_and_numbers_right() -> None:
    assert table(["name", "n"], [["a", 5], ["long name", 1234]]) == [
        "name           n",
        "─────────  ─────",
        "a              5",
        "long name  1,234",
    ]


def test_what_was_detected_is_told_by_detector_and_agent() -> None:
    named: dict[str, Any] = {"gen_ai.agent.name": "weather"}
    loop: dict[str, Any] = {"tracekeeper.detected": ["Loop", "FanOut"], "gen_ai.agent.name": "weather"}
    spans = [span("a", "1", **named), span("b", "2", **loop), span("c", "3", **loop)]
    assert detections(spans) == [
        "the detector FanOut names the agent weather, on 2 of the newest 3 spans",
        "the detector Loop names the agent weather, on 2 of the newest 3 spans",
    ]
    assert detections(spans[:1]) == []


def test_a_trace_is_a_tree_in_order_of_time() -> None:
    tokens = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 9}
    spans = [
        span("late", "3", "1", 3.0),
        span("deep", "4", "2", 2.5),
        span("early", "2", "1", 2.0, **tokens),
        span("other", "9", "8") | {"trace_id": "u"},
        span("root", "1"),
    ]
    assert trace_tree(spans) == [
        "trace t (s)",
        "root  2.0 ms",
        "├─ early  2.0 ms  7 tokens in, 9 out",
        "│  └─ deep  2.0 ms",
        "└─ late  2.0 ms",
    ]


def test_a_tree_tells_what_calls_and_the_whole_have_cost() -> None:
    tokens = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 9, "gen_ai.usage.cost": 0.00015}
    whole: dict[str, Any] = {"tracekeeper.trace.cost": 0.00015}
    found = [span("root", "1", **whole), span("chat", "2", "1", 2.0, **tokens)]
    assert trace_tree(found) == [
        "trace t (s)",
        "root  2.0 ms, $0.000150 for the whole trace",
        "└─ chat  2.0 ms  7 tokens in, 9 out, $0.000150",
    ]


def test_what_was_not_hidden_or_not_priced_is_a_fault() -> None:
    call: dict[str, Any] = {"gen_ai.input.messages": "I am [REDACTED].", "gen_ai.usage.cost": 0.25}
    lines, faults = treatment([span("chat", "1", **call), span("chat", "2", **call)])
    assert "as they arrived: I am [REDACTED]." in lines[0] and "$0.5000" in lines[1]
    assert faults == []
    bare: dict[str, Any] = {"gen_ai.input.messages": "ada@example.com"}
    lines, faults = treatment([span("chat", "1", **bare)])
    assert [fault.split(" arrived ")[0] for fault in faults] == ["1 of 1 spans", "1 of 1 calls of a model"]
    assert treatment([span("root", "1")]) == ([], ["no call of a model has arrived"])


def test_without_a_root_there_is_no_tree_yet() -> None:
    assert trace_tree([span("child", "2", "1")]) == ["(no whole trace yet)"]


def test_the_ledger_shows_each_entry_since_it_began() -> None:
    assert ledger_lines(LEDGER)[2].split() == ["105", "100", "3", "2"]
    assert ledger_lines(LEDGER)[-1].split() == ["a", "90", "85", "5", "0"]
    assert ledger_faults(LEDGER) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"received": "106"}, "received 106"),
        ({"suspended": "3"}, "received 105"),
        ({"acknowledged": "101", "received": "106"}, "delivery a: 90 accounted for of 91"),
    ],
)
def test_a_ledger_that_does_not_close_is_a_fault(change: dict[str, str], named: str) -> None:
    (fault,) = ledger_faults(LEDGER | change)
    assert named in fault


def test_dropped_spans_are_a_fault_although_the_ledger_closes() -> None:
    entry = {"name": "a", "start": "0", "delivered": {"x": "99"}, "dropped": {"refused": "1"}, "pending": "0"}
    (fault,) = ledger_faults(LEDGER | {"delivery": [entry]})
    assert "dropped" in fault
    assert "refused" in fault


def test_missing_ids_are_counted_for_each_backend() -> None:
    acknowledged = frozenset("abc")
    lines, faults = compare(acknowledged, [Arrived("x", frozenset("abcd"), 2), Arrived("y", frozenset("a"), 0)])
    assert lines[-2].split() == ["arrived", "in", "x", "4", "0", "2"]
    assert lines[-1].split() == ["arrived", "in", "y", "1", "2", "0"]
    assert faults == ["y misses 2 spans that the agent was told are safe"]


def test_without_a_terminal_lines_are_plain_and_rare() -> None:
    output = io.StringIO()
    progress = Progress(output)
    for _ in range(100):
        progress.live("working")
    with progress.step("building", "built"):
        pass
    text = output.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.count("working") == 1
    assert "→ building" in text
    assert "✓ built" in text


def test_a_wait_that_fails_brings_the_next_step() -> None:
    with pytest.raises(DemoFailed, match="the moon: not within 0 s") as caught:
        Progress(io.StringIO()).wait("the moon", lambda: None, 0, lambda: ["look up"])
    assert caught.value.advice == ("look up",)


def test_circuit_changes_are_told_once_with_their_cause() -> None:
    circuits = iter(["Closed", "Open", "Open", "HalfOpen", "Closed"])
    output = io.StringIO()

    def look() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        backend = {"name": "b", "circuit": next(circuits), "lastError": "refused"}
        entry = {"name": "b", "delivered": {"b": "3"}, "pending": "4"}
        return {"backends": [backend]}, {"delivery": [entry]}, {"done": True, "created": 7}

    watch = Watch(Progress(output), look)
    for _ in range(5):
        watch.look()
    told = [line.split("s  ", 1)[1] for line in output.getvalue().splitlines() if "circuit" in line]
    assert told == [
        "✗ b: circuit Closed → Open (refused)",
        "✗ b: circuit Open → HalfOpen (refused)",
        "✓ b: circuit HalfOpen → Closed",
    ]
    assert (watch.pending, watch.delivered, watch.arrived, watch.done) == ({"b": 4}, {"b": 3}, True, True)


def test_a_watch_survives_that_nobody_answers() -> None:
    watch = Watch(Progress(io.StringIO()), lambda: ({}, {}, {}))
    with pytest.raises(DemoFailed, match="spans arrive") as caught:
        watch.until("spans arrive", lambda: watch.arrived, 0.3, lambda: ["look"])
    assert caught.value.advice == ("look",)


def test_only_what_waits_for_somebody_is_hopeless() -> None:
    def pod(reason: str) -> dict[str, Any]:
        return {"status": {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": reason}}}]}}

    assert hopeless(pod("ImagePullBackOff"))
    assert not hopeless(pod("ContainerCreating"))
    assert not hopeless({"status": {"containerStatuses": [{"name": "a", "state": {"running": {}}}]}})


def test_troubles_of_a_pod_are_named_by_container() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    status = {
        "initContainerStatuses": [{"name": "done", "ready": True, "state": {}}],
        "containerStatuses": [
            {"name": "app", "ready": False, "state": waiting, "lastState": {"terminated": {"exitCode": 3}}},
            {"name": "slow", "ready": False, "state": {"running": {}}},
            {"name": "dead", "ready": False, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
        ],
        "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: no memory"}],
    }
    assert container_troubles({"status": status}) == {
        "app": "waiting: ImagePullBackOff no such image; before that it ended with exit code 3",
        "slow": "runs, but is not ready: its probe does not pass",
        "dead": "ended with exit code 137 (OOMKilled)",
        "scheduling": "0/1 nodes: no memory",
    }

"""The OpenAI Agents SDK in an injected pod, with only its endpoint changed: one tree, tokens and cost in a backend."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster import images as image_store
from cluster import paths
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import Workload, otlp

pytestmark = pytest.mark.cluster

IMAGE = "localhost/openai-agents-example:test"
SPANS = 12
"""Of one run of the example."""
RUN: dict[str, Any] = {
    "run Weather": {
        "invoke_agent triage": {
            "turn 1": {"guardrail polite": {}, "chat gpt-4o": {}, "execute_tool weather": {}},
            "turn 2": {"chat gpt-4o": {}, "handoff triage to writer": {}},
        },
        "invoke_agent writer": {"turn 3": {"chat gpt-4o": {}}},
    }
}
PARENT_TRACE, PARENT_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PROCESSORS = [{"name": "normalize", "type": "Normalize"}, {"name": "price", "type": "Price"}]


@pytest.fixture(scope="session")
def example(cluster: Cluster) -> str:
    """The name of the loaded image of examples/openai-agents: the SDK as it is published, and an agent."""
    image_store.build(IMAGE, paths.REPO / "examples/openai-agents")
    image_store.load(cluster, IMAGE)
    return IMAGE


@pytest.fixture
def user(cluster: Cluster, tracekeeper: str, demo_image: str, example: str, namespace: str) -> Workload:
    """A namespace to work in, on a cluster where the chart is installed."""
    assert tracekeeper and example
    return Workload(cluster, namespace, demo_image)


def run(user: Workload, runs: int, **environment: str) -> list[str]:
    """Run the example in an injected pod; the ids of the traces that it says it has sent."""
    pod = user.pod(
        "weather",
        ["python3", "/example/agent.py"],
        annotations={"tracekeeper.dev/inject": "true"},
        environment={"AGENT_RUNS": str(runs), "AGENT_LINGER": "3600", **environment},
    )
    pod["spec"]["containers"][0]["image"] = IMAGE
    user.cluster.apply(pod)
    user.running("weather-0", deadline=120)

    def log() -> str:
        return user.cluster.kubectl("logs", "weather-0", "-c", "app", "-n", user.namespace, check=False)

    def summary() -> str | None:
        return next((line for line in log().splitlines() if line.startswith("summary ")), None)

    line = wait_for(summary, 120, lambda: f"the agent is done: {log()}", interval=0.5)
    assert "[non-fatal]" not in log(), "the SDK had nothing to complain of"
    return [name.removeprefix("trace_") for name in json.loads(line.removeprefix("summary "))["traces"]]


def arrived(user: Workload, count: int) -> list[dict[str, Any]]:
    wait_for(lambda: user.backend("backend-a")["distinct"] >= count, 60, lambda: f"{user.backend('backend-a')}")
    spans: list[dict[str, Any]] = user.backend("backend-a", "/spans?limit=10000")
    return spans


def tree(spans: list[dict[str, Any]], above: str = "") -> dict[str, Any]:
    """Names below each other; what is not reached from `above` is not in it."""
    below = sorted((span for span in spans if span["parent_span_id"] == above), key=lambda span: span["start"])
    return {span["name"]: tree(spans, span["span_id"]) for span in below}


COST = (600 * 2.5 + 400 * 1.25 + 50 * 10) / 1e6
"""Dollars of one call of the example's model, by the book."""


def test_runs_are_trees_with_tokens_and_cost(user: Workload) -> None:
    user.backends("backend-a")
    user.configured(otlp("backend-a"), processors=PROCESSORS)
    traces = run(user, 3)
    spans = arrived(user, 3 * SPANS)
    assert {span["trace_id"] for span in spans} == set(traces)
    for number, trace in enumerate(traces):
        mine = [span for span in spans if span["trace_id"] == trace]
        assert tree(mine) == RUN
        assert {span["service"] for span in mine} == {"weather-agents"}
        assert {span["attributes"]["gen_ai.conversation.id"] for span in mine} == {f"conversation-{number}"}
        assert {span["attributes"]["user.id"] for span in mine} == {f"user-{number}"}
        calls = [span["attributes"] for span in mine if span["name"] == "chat gpt-4o"]
        assert [call["gen_ai.usage.input_tokens"] for call in calls] == [1000] * 3
        assert [call["gen_ai.usage.cache_read.input_tokens"] for call in calls] == [400] * 3
        assert [call["gen_ai.usage.output_tokens"] for call in calls] == [50] * 3
        costs = [call["gen_ai.usage.cost"] for call in calls]
        assert costs == [pytest.approx(COST)] * 3
        assert {call["tracekeeper.cost.source"] for call in calls} == {"computed"}
        (root,) = [span["attributes"] for span in mine if span["parent_span_id"] == ""]
        assert root["tracekeeper.trace.cost"] == pytest.approx(sum(costs))
        assert (root["gen_ai.usage.input_tokens"], root["tracekeeper.usage.repeated"]) == (3000, True)
    book = user.settled("weather-0")
    assert (book["acknowledged"], book["refused"]) == (3 * SPANS, 0)
    print(f"{len(traces)} traces of {SPANS} spans, each {sum(costs)} dollars")


def test_a_run_hangs_below_a_span_of_another_service(user: Workload) -> None:
    user.backends("backend-a")
    user.configured(otlp("backend-a", "HTTP"))
    run(user, 1, AGENT_PARENT=f"00-{PARENT_TRACE}-{PARENT_SPAN}-01")
    spans = arrived(user, SPANS)
    assert {span["trace_id"] for span in spans} == {PARENT_TRACE}
    assert tree(spans, PARENT_SPAN) == RUN


def test_the_sdk_keeps_its_spans_until_the_buffer_takes_them(user: Workload) -> None:
    """A backend that is away for the whole run is no concern of the application's."""
    user.backends("backend-a")
    user.configured(otlp("backend-a"))
    user.fail("backend-a", "unavailable")
    run(user, 2)
    assert user.ledger("weather-0")["delivery"]["backend-a"]["pending"] == 2 * SPANS
    user.fail("backend-a", "ok")
    user.settled("weather-0")
    assert len(arrived(user, 2 * SPANS)) == 2 * SPANS

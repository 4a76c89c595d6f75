"""What a span is, by who says it: the dialect itself, OpenInference, the operation's name, frameworks, a tool's
name."""

from __future__ import annotations

from typing import Any

import pytest

import normalize_world as world

KIND, OPERATION = "tracekeeper.kind", "gen_ai.operation.name"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({KIND: "runner", "openinference.span.kind": "AGENT"}, {KIND: "runner"}),
        ({"langfuse.observation.type": "tool", "openinference.span.kind": "LLM"}, {OPERATION: "execute_tool"}),
        ({"openinference.span.kind": "GUARDRAIL", OPERATION: "chat"}, {KIND: "guardrail", OPERATION: "chat"}),
        ({OPERATION: "chat", "traceloop.span.kind": "agent"}, {OPERATION: "chat"}),
        ({"traceloop.span.kind": "workflow", "llm.request.type": "chat"}, {OPERATION: "invoke_workflow"}),
        ({"llm.request.type": "completion"}, {OPERATION: "text_completion"}),
        ({"gen_ai.tool.name": "search"}, {OPERATION: "execute_tool"}),
        ({"gen_ai.tool.name": "search", OPERATION: "chat"}, {OPERATION: "chat"}),
        ({"openinference.span.kind": "UNKNOWN"}, {}),
        ({"langfuse.observation.type": "span"}, {}),
        ({"openinference.span.kind": "CHAIN"}, {KIND: "pipeline"}),
    ],
)
def test_the_first_that_says_it_counts(attributes: dict[str, Any], expected: dict[str, str]) -> None:
    found = world.one(attributes)

    assert {key: found[key] for key in (KIND, OPERATION) if key in found} == expected


def test_a_kind_of_another_type_is_counted() -> None:
    by = world.step()
    before = {"openinference.span.kind": 7}

    assert world.new(before, by) == {}
    assert world.samples(by, "tracekeeper_normalize_unusable_total") == {("openinference", "type"): 1}


def test_a_name_comes_from_where_the_kind_says() -> None:
    assert world.one({"langfuse.observation.type": "agent"}, name="planner")["gen_ai.agent.name"] == "planner"
    assert world.one({"langfuse.observation.type": "tool"}, name="search")["gen_ai.tool.name"] == "search"
    entity = {"traceloop.entity.name": "planner"}
    assert world.one({"traceloop.span.kind": "agent"} | entity)["gen_ai.agent.name"] == "planner"
    assert "gen_ai.agent.name" not in world.one({"traceloop.span.kind": "task"} | entity)


def test_the_wrappers_of_vercels_sdk_call_no_model() -> None:
    found = world.one({"ai.operationId": "ai.generateText", "ai.model.id": "gpt-4o", "ai.usage.inputTokens": 9})

    assert found[KIND] == "pipeline"
    assert OPERATION not in found

"""What rows make of costs in parts and of moments, and of those that are none."""

from __future__ import annotations

from typing import Any

import pytest

import normalize_world as world
from normalize_world import Told

COST, FIRST_CHUNK = "gen_ai.usage.cost", "gen_ai.response.time_to_first_chunk"
PROMPT, COMPLETION, TOTAL = "llm.cost.prompt", "llm.cost.completion", "llm.cost.total"
DETAILS, STARTED = "langfuse.observation.cost_details", "langfuse.observation.completion_start_time"


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({PROMPT: 0.25, COMPLETION: 0.5}, 0.75),
        ({PROMPT: 0.25}, 0.25),
        ({COMPLETION: 0.5}, 0.5),
        ({PROMPT: 0.25, COMPLETION: 0.5, TOTAL: 1.0}, 1.0),
        ({DETAILS: '{"input": 0.25, "input_cached_tokens": 0.125, "output": 0.5}'}, 0.875),
        ({DETAILS: '{"input": 0.25, "output": 0.5, "total": 2}'}, 2.0),
        ({PROMPT: 0.25, COMPLETION: ""}, 0.25),
        ({PROMPT: 0.25, COMPLETION: 0.5, TOTAL: 0.0}, 0.75),
        ({PROMPT: 0.0, COMPLETION: 0.0, TOTAL: 0.0}, 0.0),
    ],
    ids=str,
)
def test_a_cost_in_parts_is_their_sum_where_no_total_is_said(said: dict[str, Any], cost: float) -> None:
    assert world.one({"openinference.span.kind": "LLM"} | said)[COST] == cost


@pytest.mark.parametrize(
    ("said", "dialect", "reason"),
    [
        ({PROMPT: 0.25, COMPLETION: -0.5}, "openinference", "negative"),
        ({PROMPT: -1.0, COMPLETION: 0.5}, "openinference", "negative"),
        ({PROMPT: "x", COMPLETION: 0.5}, "openinference", "type"),
        ({PROMPT: 1e308, COMPLETION: 1e308}, "openinference", "not_finite"),
        ({DETAILS: '{"input": 1e308, "output": 1e308}'}, "langfuse", "not_finite"),
        ({STARTED: "9999-12-31T00:00:00Z"}, "langfuse", "absurd"),
        ({DETAILS: '{"input": -1}'}, "langfuse", "negative"),
        ({DETAILS: '{"input": "much"}'}, "langfuse", "type"),
        ({STARTED: '"2025-10-09T08:53:19.000000Z"'}, "langfuse", "negative"),
        ({STARTED: "yesterday"}, "langfuse", "type"),
        ({STARTED: 17}, "langfuse", "type"),
    ],
    ids=str,
)
def test_what_is_no_cost_and_no_moment_is_counted(said: dict[str, Any], dialect: str, reason: str) -> None:
    by = world.step()
    found = world.one(said, by)
    assert world.samples(by, "tracekeeper_normalize_unusable_total")[dialect, reason] >= 1
    assert FIRST_CHUNK not in found and COST not in found
    assert said.items() <= found.items()


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ('"2025-10-09T08:53:20.250000Z"', 0.25),
        ("2025-10-09T10:53:20.250+02:00", 0.25),
        ("2025-10-09T08:53:20.250", 0.25),
        ("2025-10-09T08:53:20Z", 0.0),
    ],
)
def test_the_first_chunk_is_so_long_after_the_span_began(said: str, seconds: float) -> None:
    assert world.one({STARTED: said})[FIRST_CHUNK] == seconds


def test_json_that_cannot_be_read_is_counted_once() -> None:
    by = world.step()
    world.one({DETAILS: "{broken"}, by)
    assert world.samples(by, "tracekeeper_normalize_unusable_total") == {("langfuse", "json"): 1}


def test_of_a_span_without_a_beginning_nothing_is_so_long_after_it() -> None:
    (found,) = world.run(world.step(), Told({STARTED: "2025-10-09T08:53:20Z"}, begin=0))
    assert FIRST_CHUNK not in found


def test_both_parts_of_a_cost_go_where_originals_are_not_kept() -> None:
    found = world.one({"llm.model_name": "gpt-4o", PROMPT: 0.25, COMPLETION: 0.5}, world.step(keep_originals=False))
    assert found[COST] == 0.75
    assert PROMPT not in found and COMPLETION not in found

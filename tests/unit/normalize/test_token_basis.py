"""Tokens come to be inclusive, whatever they came as, and it is recorded what that was."""

from __future__ import annotations

import json
from typing import Any

import pytest

import normalize_world as world

INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
READ, WRITE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens"
REASONING, BASIS = "gen_ai.usage.reasoning.output_tokens", "tracekeeper.token_basis"
UNUSABLE = "tracekeeper_normalize_unusable_total"


def test_what_contains_the_cached_tokens_stays() -> None:
    assert world.new({INPUT: 2512, OUTPUT: 40, READ: 2000, WRITE: 500}) == {BASIS: "inclusive"}


def test_more_cached_tokens_than_tokens_of_input_are_added() -> None:
    found = world.new({INPUT: 12, OUTPUT: 40, READ: 2000, WRITE: 500})

    assert found == {INPUT: 2512, BASIS: "exclusive"}


def test_more_reasoning_than_output_is_added() -> None:
    assert world.new({INPUT: 10, OUTPUT: 128, REASONING: 512}) == {OUTPUT: 640, BASIS: "exclusive"}


def test_without_cached_or_reasoning_tokens_nothing_is_recorded() -> None:
    assert world.new({INPUT: 12, OUTPUT: 40, READ: 0, WRITE: 0, REASONING: 0}) == {}


def test_the_old_name_of_cache_writes_counts_too() -> None:
    found = world.new({INPUT: 12, OUTPUT: 40, "gen_ai.usage.cache_creation.input_tokens": 500})

    assert found == {INPUT: 512, WRITE: 500, BASIS: "exclusive", "tracekeeper.dialect": "otel_1_41"}


def test_langfuses_own_form_is_exclusive_even_where_it_need_not_be() -> None:
    usage = {"input": 800, "output": 20, "input_cached_tokens": 300, "output_reasoning_tokens": 10, "total": 1130}
    found = world.new(
        {"langfuse.observation.type": "generation", "langfuse.observation.usage_details": json.dumps(usage)}
    )

    assert (found[INPUT], found[OUTPUT], found[READ], found[REASONING]) == (1100, 30, 300, 10)
    assert found[BASIS] == "exclusive"


def test_openais_form_in_langfuses_attribute_is_inclusive() -> None:
    usage = {"prompt_tokens": 117, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 64}}
    found = world.new(
        {"langfuse.observation.type": "generation", "langfuse.observation.usage_details": json.dumps(usage)}
    )

    assert (found[INPUT], found[OUTPUT], found[READ], found[BASIS]) == (117, 12, 64, "inclusive")


@pytest.mark.parametrize(
    ("attributes", "scope", "expected"),
    [
        ({"gen_ai.provider.name": "anthropic"}, "openlit.instrumentation.anthropic", "exclusive"),
        ({"gen_ai.provider.name": "openai"}, "openlit.instrumentation.openai", "inclusive"),
        ({"gen_ai.provider.name": "anthropic"}, "opentelemetry.instrumentation.anthropic", "inclusive"),
        ({"gen_ai.provider.name": "anthropic"}, "com.anthropic.sdk.python", "inclusive"),
    ],
)
def test_scope_and_provider_decide_what_the_numbers_leave_open(
    attributes: dict[str, Any], scope: str, expected: str
) -> None:
    found = world.one(attributes | {INPUT: 800, OUTPUT: 33, READ: 300}, scope=scope)

    assert found[BASIS] == expected
    assert found[INPUT] == (1100 if expected == "exclusive" else 800)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("ai.usage.cachedInputTokens", 1100), ("ai.usage.inputTokenDetails.cacheReadTokens", 800)],
)
def test_vercels_releases_differ(key: str, expected: int) -> None:
    found = world.one(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.provider": "anthropic.messages",
            "ai.usage.inputTokens": 800,
            "ai.usage.outputTokens": 33,
            key: 300,
        }
    )

    assert (found[INPUT], found[READ], found["gen_ai.provider.name"]) == (expected, 300, "anthropic")


def test_what_was_worked_out_before_is_not_worked_out_again() -> None:
    assert world.new({INPUT: 12, OUTPUT: 40, READ: 2000, BASIS: "inclusive"}) == {}


@pytest.mark.parametrize("value", ["412", 412.0, " 412 "])
def test_whole_numbers_in_another_form_are_taken(value: object) -> None:
    assert world.one({INPUT: value, OUTPUT: 1})[INPUT] == 412
    assert world.one({"llm.token_count.prompt": value, "openinference.span.kind": "LLM"})[INPUT] == 412


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-5, "negative"),
        ("-5", "negative"),
        (1_000_000_001, "absurd"),
        (2.5, "fraction"),
        ("many", "type"),
        (True, "type"),
        (float("nan"), "not_finite"),
        (float("inf"), "not_finite"),
        ("NaN", "not_finite"),
        ([1], "type"),
        ({"a": 1}, "type"),
        (b"12", "type"),
    ],
)
def test_what_is_no_number_of_tokens_is_counted_and_stays_as_it_came(value: Any, reason: str) -> None:
    by = world.step()
    (foreign,) = world.run(by, world.Told({"openinference.span.kind": "LLM", "llm.token_count.prompt": value}))
    (own,) = world.run(by, world.Told({"gen_ai.operation.name": "chat", INPUT: value, OUTPUT: 3}))

    assert INPUT not in foreign
    assert repr(own[INPUT]) == repr(value)
    assert world.samples(by, UNUSABLE) == {("openinference", reason): 1, ("opentelemetry", reason): 1}


def test_a_sum_that_is_absurd_is_not_made() -> None:
    found = world.new({INPUT: 500_000_000, OUTPUT: 1, READ: 800_000_000})

    assert found == {BASIS: "inclusive"}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input": 100, "input_audio_tokens": 50, "output": 10}, (150, 10, "exclusive")),
        ({"input": 100, "input_audio_tokens": 500, "output": 10}, (600, 10, "exclusive")),
        ({"input": 100, "output": 10, "output_audio_tokens": 300}, (100, 310, "exclusive")),
        ({"input": 100, "output": 10, "output_audio_tokens": 30, "output_reasoning_tokens": 5}, (100, 45, "exclusive")),
        ({"prompt_tokens": 150, "completion_tokens": 9, "prompt_tokens_details": {"audio_tokens": 50}}, (150, 9, None)),
        ({"input_tokens": 5000, "output_tokens": 9, "cache_read_input_tokens": 1000}, (6000, 9, "exclusive")),
        (
            {"input_tokens": 50, "output_tokens": 9, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 7},
            (57, 9, "exclusive"),
        ),
        ({"input_tokens": 50, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 7}}, (50, 9, "inclusive")),
    ],
    ids=str,
)
def test_whose_tokens_langfuse_has_is_told_by_their_names(
    usage: dict[str, Any], expected: tuple[int, int, str | None]
) -> None:
    """Its own, in which no token is in two of them; OpenAI's answer; Anthropic's, which leaves the cached ones out."""
    found = world.one(
        {"langfuse.observation.type": "generation", "langfuse.observation.usage_details": json.dumps(usage)}
    )

    assert (found[INPUT], found[OUTPUT], found.get(BASIS)) == expected

"""The step as a whole: what it leaves alone, what a config chooses, and what it counts."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

import normalize_world as world
import otlp_requests
from normalize_world import NOW, Told
from tracekeeper_sidecar.process.build import Means
from tracekeeper_sidecar.process.normalize import make
from tracekeeper_sidecar.process.normalize.row import Kind
from tracekeeper_sidecar.process.normalize.span import MOST_ATTRIBUTES
from tracekeeper_sidecar.process.normalize.step import Normalize
from tracekeeper_sidecar.process.normalize.table import Table
from tracekeeper_sidecar.process.step import Request
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.processor_fields import PROCESSOR
from tracekeeper_spec.walk import read

CANONICAL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 412,
    "gen_ai.usage.output_tokens": 133,
    "gen_ai.usage.cache_read.input_tokens": 0,
    "gen_ai.agent.name": "travel",
    "gen_ai.tool.name": "search",
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]',
    "gen_ai.output.messages": "Find me a flight.",
}
FOREIGN = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "llm.token_count.prompt": 9}


def configured(values: dict[str, Any]) -> tuple[Any, list[Fault]]:
    faults: list[Fault] = []
    return read(PROCESSOR, {"name": "n", "type": "Normalize", "normalize": values}, "processors[0]", faults), faults


@pytest.mark.parametrize("content", [world.body(Told(CANONICAL)), otlp_requests.body(100), b""])
def test_a_request_that_needs_nothing_stays_the_same_object(content: bytes) -> None:
    request = Request(content, 1, NOW)
    world.step().run(request)

    assert request.body is content


def test_only_spans_that_need_it_are_written_anew() -> None:
    before = [Told(CANONICAL, span_id=number) for number in range(1, 6)]
    before[2] = Told(FOREIGN, span_id=3)
    found = world.run(world.step(), *before)

    assert [each.get("tracekeeper.dialect") for each in found] == [None, None, "openinference", None, None]
    assert [each for place, each in enumerate(found) if place != 2] == [CANONICAL] * 4


def test_originals_are_left_out_where_the_config_says_so() -> None:
    found = world.one(FOREIGN | {"shop.order": 7}, world.step(keep_originals=False))

    assert found == {
        "shop.order": 7,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 9,
        "tracekeeper.dialect": "openinference",
    }


def test_only_dialects_that_the_config_names_are_translated() -> None:
    by = world.step("langfuse", "vercel")

    assert world.new(FOREIGN, by) == {}
    assert (
        world.one({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "search"}, by)["gen_ai.tool.name"] == "search"
    )


def test_what_is_canonical_already_goes_before_what_a_dialect_says() -> None:
    found = world.one(FOREIGN | {"gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 11})

    assert (found["gen_ai.request.model"], found["gen_ai.usage.input_tokens"]) == ("gpt-4o-mini", 11)


def test_what_another_sidecar_has_translated_is_not_translated_again() -> None:
    assert world.new(FOREIGN | {"tracekeeper.dialect": "openinference"}) == {}


def test_it_counts_by_dialect() -> None:
    by = world.step()
    world.run(by, Told(FOREIGN), Told(FOREIGN, span_id=2), Told({"gen_ai.system": "openai"}, span_id=3))

    expected = {("openinference",): 2, ("otel_1_36",): 1}
    assert world.samples(by, "tracekeeper_normalize_spans_total") == expected
    newer = world.step()
    newer.keep(by)
    assert world.samples(newer, "tracekeeper_normalize_spans_total") == expected


def test_a_config_makes_the_step() -> None:
    processor, faults = configured({"dialects": ["Langfuse"], "keepOriginals": False, "messages": False})
    by = make(processor, Means())

    assert faults == []
    assert (by.name, by.kind, by.fails_closed) == ("n", "Normalize", False)
    assert isinstance(by, Normalize)
    assert world.new(FOREIGN, by) == {}
    assert make(configured({})[0], Means()).name == "n"


def test_an_unknown_dialect_is_a_fault_that_names_those_that_are_known() -> None:
    _, faults = configured({"dialects": ["openinferense"]})

    (fault,) = faults
    assert "OpenInference" in str(fault)


def test_a_body_that_is_no_request_is_an_error() -> None:
    with pytest.raises(ValueError, match="cut off"):
        world.step().run(Request(b"\x0a\x7f", 1, NOW))


def test_keys_that_are_made_up_cost_no_memory_and_no_verdict() -> None:
    by = world.step()
    for begin in range(0, 20_000, 100):
        world.run(by, Told({f"made.up.{number}": 1 for number in range(begin, begin + 100)}))

    assert world.one(FOREIGN, by)["gen_ai.usage.input_tokens"] == 9


def test_keys_of_any_length_do_not_fill_the_memory() -> None:
    by = world.step()
    world.run(by, Told(FOREIGN))
    tracemalloc.start()
    try:
        for number in range(60):
            world.run(by, Told(FOREIGN | {f"{number:06}" + "k" * 200_000: 1}))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 3_000_000, "of 12,000,000 characters of keys"


def test_a_span_of_attributes_without_number_stays_as_it_is_and_is_counted() -> None:
    by = world.step()
    many = {f"made.up.{number}": 1 for number in range(MOST_ATTRIBUTES)}
    assert "gen_ai.usage.input_tokens" not in world.one(FOREIGN | many, by)
    assert world.samples(by, "tracekeeper_normalize_unusable_total") == {("opentelemetry", "too_large"): 1}


def test_the_schema_of_a_tool_is_no_argument_of_its_call() -> None:
    said = {"openinference.span.kind": "TOOL", "tool.name": "weather", "tool.parameters": '{"properties": {}}'}
    assert "gen_ai.tool.call.arguments" not in world.one(said)


def test_kinds_are_those_of_the_design() -> None:
    assert set(map(str, Kind)) == {
        "pipeline", "agent", "tool", "runner", "handoff", "guardrail", "llm", "embedding", "retriever",
    }  # fmt: skip


def test_what_takes_too_long_goes_on_without_messages_and_then_as_it_came() -> None:
    spoken = FOREIGN | {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "Hi"}
    used = iter([0.0, 0.1, 0.4, 0.6, 1.1])
    by = Normalize("to-canonical", "Normalize", Table(), clock=lambda: next(used))
    found = world.run(by, *(Told(spoken, span_id=number) for number in range(1, 6)))

    assert [each.get("gen_ai.usage.input_tokens") for each in found] == [9, 9, 9, None, None]
    assert ["gen_ai.input.messages" in each for each in found] == [True, True, False, False, False]
    assert world.samples(by, "tracekeeper_normalize_late_total") == {("messages",): 1, ("all",): 2}
    assert world.samples(by, "tracekeeper_normalize_spans_total") == {("openinference",): 3}


def test_the_time_for_a_request_is_taken_anew_each_time() -> None:
    used = iter([0.0, 0.0, 9.0, 9.0])
    by = Normalize("to-canonical", "Normalize", Table(), clock=lambda: next(used))
    for number in (1, 2):
        (found,) = world.run(by, Told(FOREIGN, span_id=number))
        assert found["gen_ai.usage.input_tokens"] == 9

"""Usage that is told twice counts once: what lies deepest counts, whatever the order in which spans come."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import normalize_world as world
from normalize_world import MINUTE, NOW, Told
from tracekeeper_sidecar.process.normalize.table import Table
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire.normalize import Normalizer
from tracekeeper_sidecar.wire.normalize_answers import Answers
from tracekeeper_sidecar.wire.normalize_repeats import Repeats
from tracekeeper_sidecar.wire.normalize_usage import Usage

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
EMBEDDINGS = {"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 8}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
TOOL = {"gen_ai.operation.name": "execute_tool"}
HTTP = {"http.request.method": "POST"}
KEY = "tracekeeper.usage.repeated"


def chat(span_id: int, parent: int = 0, **more: Any) -> Told:
    return Told(CHAT | more, span_id=span_id, parent=parent)


def answered(answer: str, span_id: int, parent: int = 0) -> Told:
    return Told(CHAT | {"gen_ai.response.id": answer}, span_id=span_id, parent=parent)


def test_the_outer_of_two_calls_repeats_the_inner() -> None:
    outer, inner = chat(1), chat(2, 1)

    assert world.repeated(world.run(world.step(), inner, outer)) == [False, True]
    assert world.repeated(world.run(world.step(), outer, inner)) == [True, False]


def test_a_call_within_another_of_other_tokens_takes_nothing_from_it() -> None:
    """An answer that streams in, and a judge of it that is asked while the span of the first is under way."""
    judge = chat(2, 1, **{"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 1})
    by = world.step()

    assert world.repeated(world.run(world.step(), judge, chat(1))) == [False, False]
    assert world.repeated(world.run(by, judge)) == [False]
    assert world.repeated(world.run(by, chat(1))) == [False]


def test_calls_that_say_different_answers_are_two_whatever_their_tokens() -> None:
    inner, outer = answered("b", 2, 1), answered("a", 1)

    assert world.repeated(world.run(world.step(), inner, outer)) == [False, False]


def test_calls_of_one_answer_are_one_whatever_their_tokens() -> None:
    """Some instrumentations leave the cached tokens out."""
    inner = chat(2, 1, **{"gen_ai.response.id": "a", "gen_ai.usage.input_tokens": 60})

    assert world.repeated(world.run(world.step(), inner, answered("a", 1))) == [False, True]


def test_a_call_between_two_of_different_answers_belongs_to_the_nearer() -> None:
    """It says none itself: it is what is above it, and not what is above that, too."""
    found = world.run(world.step(), chat(3, 2), answered("b", 2, 1), answered("a", 1))

    assert world.repeated(found) == [False, True, False]


@pytest.mark.parametrize("apart", [False, True], ids=["in one request", "in two"])
def test_a_call_that_names_the_sum_of_those_below_it_repeats_them(apart: bool) -> None:
    total = chat(1, **{"gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 40})
    by, below = world.step(), [chat(2, 1), Told({}, span_id=3, parent=1), chat(4, 3)]
    if not apart:
        assert world.repeated(world.run(by, *below, total)) == [False, False, False, True]
        return
    for _ in range(2):  # What is sent twice is there once.
        assert world.repeated(world.run(by, *below)) == [False] * 3
    assert world.repeated(world.run(by, total)) == [True]


def test_an_agent_repeats_whatever_its_calls_have_used() -> None:
    less = chat(2, 1, **{"gen_ai.usage.input_tokens": 5})

    assert world.repeated(world.run(world.step(), less, Told(AGENT, span_id=1))) == [False, True]


def test_a_mark_that_says_no_is_none() -> None:
    found = world.run(world.step(), Told(CHAT | {KEY: False}, span_id=2, parent=1), Told(CHAT | {KEY: False}))

    assert world.repeated(found) == [False, True]


def test_of_two_marks_the_first_counts() -> None:
    """As everywhere: the rest of the sidecar takes the first of two attributes of one key."""
    message = ExportTraceServiceRequest.FromString(world.body(Told(CHAT | {KEY: False}, span_id=2, parent=1), chat(1)))
    message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key=KEY).value.bool_value = True
    request = Request(message.SerializeToString(), 2, NOW)
    world.step().run(request)
    outer = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans[1]

    assert [item.value.bool_value for item in outer.attributes if item.key == KEY] == [True]


def test_many_spans_of_one_id_take_no_longer_than_others() -> None:
    """A place for each of them in one run would be 60,000 x 60,000 steps, and all of the test's time."""
    found = world.run(world.step(), *(chat(1) for _ in range(60_000)))

    assert not any(world.repeated(found))


def test_answers_with_ids_that_differ_in_a_digit_are_different() -> None:
    for begin in range(0, 1000, 20):
        calls = [
            chat(place + 1, 1 if place else 0, **{"gen_ai.response.id": f"{begin + place:06d}"}) for place in range(20)
        ]
        assert not any(world.repeated(world.run(world.step(), *calls)))


def test_memory_of_a_large_request_is_given_back() -> None:
    repeats = Repeats(Usage(), Answers(), 7)
    normalizer = Normalizer(Table().judge, repeats)
    normalizer.look(world.body(*(chat(number + 1, number) for number in range(5000))))
    assert repeats.room > 5000 * 64
    normalizer.look(world.body(chat(1)))

    assert repeats.room < 100_000


def test_spans_that_come_in_other_requests_are_remembered() -> None:
    by = world.step()

    assert world.repeated(world.run(by, chat(3, 2))) == [False]
    assert world.repeated(world.run(by, Told(HTTP, span_id=2, parent=1))) == [False]
    assert world.repeated(world.run(by, chat(1))) == [True]


def test_an_export_that_comes_again_is_judged_as_before() -> None:
    by = world.step()
    answered = {"gen_ai.response.id": "chatcmpl-1"}
    for _ in range(3):
        assert world.repeated(world.run(by, chat(2, 1, **answered), chat(1, 0, **answered))) == [False, True]
        assert world.repeated(world.run(by, Told(CHAT, span_id=4), Told(CHAT, span_id=5))) == [False, False]


def test_two_instrumentations_at_once() -> None:
    """LangChain's, by OpenInference, over OpenAI's, by Traceloop, over the provider's own; and an agent over all."""
    outer = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o",
        "llm.token_count.prompt": 100,
        "llm.token_count.completion": 20,
    }
    middle = {"llm.request.type": "chat", "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 20}
    found = world.run(
        world.step(),
        chat(4, 3),
        Told(middle, span_id=3, parent=2),
        Told(outer, span_id=2, parent=1),
        Told(AGENT, span_id=1),
    )

    assert world.repeated(found) == [False, True, True, True]
    assert [each["gen_ai.operation.name"] for each in found] == ["chat", "chat", "chat", "invoke_agent"]


def test_two_instrumentations_side_by_side() -> None:
    answered = {"gen_ai.response.id": "chatcmpl-1"}
    by = world.step()

    assert world.repeated(world.run(by, chat(2, 1, **answered))) == [False]
    assert world.repeated(world.run(by, chat(3, 1, **answered))) == [True]


def test_a_server_that_gives_all_answers_one_id_does_no_harm() -> None:
    answered = CHAT | {"gen_ai.response.id": "chatcmpl-1"}
    first = Told(answered, span_id=2, begin=NOW, end=NOW + 1_000_000_000)
    second = Told(answered, span_id=3, begin=NOW + 2_000_000_000, end=NOW + 3_000_000_000)
    third = Told(answered | {"gen_ai.usage.output_tokens": 21}, span_id=4)
    elsewhere = Told(answered, span_id=5, trace=bytes(range(2, 18)))

    assert world.repeated(world.run(world.step(), first, second, third, elsewhere)) == [False] * 4


@pytest.mark.parametrize("above", [HTTP, AGENT, {"tracekeeper.kind": "pipeline"}])
def test_usage_rises_through_what_has_none(above: dict[str, Any]) -> None:
    found = world.run(world.step(), chat(3, 2), Told(above, span_id=2, parent=1), chat(1))

    assert world.repeated(found) == [False, above == AGENT, True]


def test_an_agent_that_repeats_its_calls_is_marked_too() -> None:
    assert world.repeated(world.run(world.step(), chat(2, 1), Told(AGENT, span_id=1))) == [False, True]
    assert world.repeated(world.run(world.step(), Told(AGENT, span_id=1))) == [False]


def test_a_call_without_usage_over_one_that_has_it_is_none_of_unknown_price() -> None:
    outer = Told({"gen_ai.operation.name": "embeddings"}, span_id=1)

    assert world.repeated(world.run(world.step(), Told(EMBEDDINGS, span_id=2, parent=1), outer)) == [False, True]


def test_what_a_tool_calls_is_its_own() -> None:
    found = world.run(world.step(), chat(3, 2), Told(TOOL, span_id=2, parent=1), chat(1))

    assert world.repeated(found) == [False, False, False]


def test_embeddings_do_not_repeat_a_chat() -> None:
    assert world.repeated(world.run(world.step(), Told(EMBEDDINGS, span_id=2, parent=1), chat(1))) == [False, False]
    found = world.run(world.step(), Told(EMBEDDINGS, span_id=2, parent=1), Told(EMBEDDINGS, span_id=1))
    assert world.repeated(found) == [False, True]


def test_a_call_below_without_usage_leaves_it_to_the_outer() -> None:
    silent = Told({"gen_ai.operation.name": "chat"}, span_id=2, parent=1)

    assert world.repeated(world.run(world.step(), silent, chat(1))) == [False, False]


def test_what_is_marked_already_stays_so_and_counts_nowhere() -> None:
    marked = Told(CHAT | {KEY: True}, span_id=2, parent=1)

    assert world.repeated(world.run(world.step(), marked, chat(1))) == [True, False]


def test_other_traces_have_nothing_to_do_with_it() -> None:
    elsewhere = Told(CHAT, span_id=2, parent=1, trace=bytes(range(2, 18)))

    assert world.repeated(world.run(world.step(), elsewhere, chat(1))) == [False, False]


def test_any_order_in_a_request_comes_to_the_same() -> None:
    chain = [chat(number + 1, number) for number in range(5)]
    for order in itertools.permutations(range(5)):
        found = world.run(world.step(), *(chain[place] for place in order))
        assert world.repeated(found) == [place != 4 for place in order]


def test_a_long_chain_in_either_order() -> None:
    chain = [chat(number + 1, number) for number in range(2000)]

    assert world.repeated(world.run(world.step(), *chain)) == [True] * 1999 + [False]
    assert world.repeated(world.run(world.step(), *reversed(chain))) == [False] + [True] * 1999


def test_a_span_that_is_its_own_parent_ends() -> None:
    assert world.repeated(world.run(world.step(), chat(1, 1))) == [False]
    world.run(world.step(), chat(1, 1), Told(HTTP, span_id=2, parent=3), Told(HTTP, span_id=3, parent=2), chat(4, 3))


def test_it_is_forgotten_after_ten_minutes() -> None:
    by = world.step()
    world.run(by, chat(2, 1), now=NOW)
    assert world.repeated(world.run(by, chat(1), now=NOW + 9 * MINUTE)) == [True]

    world.run(by, chat(4, 3), now=NOW + 20 * MINUTE)
    assert world.repeated(world.run(by, chat(3), now=NOW + 31 * MINUTE)) == [False]


def test_memory_has_a_bound_and_the_latest_are_known() -> None:
    by = world.step()
    chance = random.Random(7)
    ids = [chance.getrandbits(63) + 1 for _ in range(70_000)]
    for begin in range(0, len(ids), 10_000):
        world.run(by, *(Told(CHAT, span_id=number, parent=number ^ 1 << 62) for number in ids[begin : begin + 10_000]))
    assert by.memory < 1 << 21

    last = [Told(CHAT, span_id=number ^ 1 << 62) for number in ids[-2000:]]
    assert sum(world.repeated(world.run(by, *last))) > 1990


def test_a_step_that_replaces_another_knows_what_it_knew() -> None:
    older = world.step()
    world.run(older, chat(2, 1))
    newer = world.step("openinference")
    newer.keep(older)

    assert world.repeated(world.run(newer, chat(1))) == [True]
    assert world.samples(newer, "tracekeeper_normalize_repeated_total") == {(): 1}

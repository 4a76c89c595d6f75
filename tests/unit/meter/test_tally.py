"""What spans are counted as, held against a plain account of the same spans."""

from __future__ import annotations

import random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metered_spans import NOW, add, agent_runs, differences, fill
from tracekeeper_sidecar.meter import tables
from tracekeeper_sidecar.meter.families import METERED
from tracekeeper_sidecar.meter.reading import Histogram, Reading, Row
from tracekeeper_sidecar.meter.tables import COUNTED
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs

MILLISECONDS = NOW * 1000


def make() -> Tally:
    return Tally(tables.make(), Tariffs(asking(Prices(()))), seed=1)


def reading(tally: Tally) -> Reading:
    minute = (MILLISECONDS - 1_577_836_800_000) // 60_000
    return Reading(tables.Later(tables.copy_of(tally), "", minute, dict.fromkeys(METERED[-5:], ())))


def rows(tally: Tally, name: str) -> dict[tuple[str, ...], Row]:
    return {row.labels[1:]: row for row in reading(tally).families[COUNTED[name]]}


def single(*spans: tuple[bytes, bytes, int, dict[str, str | int | list[str]]], service: str = "shop") -> bytes:
    """A request of one trace: spans by id, parent, kind and what they say; each takes a second."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": service})
    made = resource.scope_spans.add().spans
    for span, parent, kind, said in spans:
        add(made, b"t" * 16, span * 8, parent * 8, kind, NOW * 10**9, 10**9, said)
    return message.SerializeToString()


CHAT: dict[str, str | int | list[str]] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}


@pytest.mark.parametrize("seed", range(5))
def test_everything_is_counted_as_a_plain_account_says(seed: int) -> None:
    messages = list(agent_runs(seed, 300))
    tally = make()
    for message in messages:
        tally.take(message.SerializeToString(), MILLISECONDS)
    tally.settle(MILLISECONDS, everything=True)
    assert differences(reading(tally), messages) == []
    assert (tally.open_traces, tally.held) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_packed_in_the_middle_of_traces_goes_on_elsewhere(seed: int) -> None:
    """Spans of a trace come in several requests, and processes change in between."""
    from tracekeeper_sidecar.meter import checkpoint
    from tracekeeper_sidecar.model import Position

    chance = random.Random(seed)
    messages = list(agent_runs(seed, 120))
    pieces = []
    for message in messages:
        resource = message.resource_spans[0]
        for span in resource.scope_spans[0].spans:
            piece = ExportTraceServiceRequest()
            piece.resource_spans.add().resource.CopyFrom(resource.resource)
            piece.resource_spans[0].scope_spans.add().spans.append(span)
            pieces.append(piece)
    tally = make()
    for piece in pieces:
        tally.take(piece.SerializeToString(), MILLISECONDS)
        if chance.random() < 0.05:
            head = checkpoint.head(tables.copy_of(tally), tally.names(), Position(1, 64, 0), 0, b"")
            kept = checkpoint.read(_body(head, tally.pack()))
            tally = make()
            checkpoint.restore(tally, kept)
    tally.settle(MILLISECONDS, everything=True)
    assert differences(reading(tally), messages) == []


def _body(head: bytes, packed: bytes) -> bytes:
    import zlib

    from tracekeeper_sidecar.meter.checkpoint import MAGIC

    return MAGIC + zlib.compress(len(head).to_bytes(4, "little") + head + packed)


def test_operations_that_an_older_version_did_not_know_are_of_their_kinds() -> None:
    from dataclasses import replace

    from tracekeeper_sidecar.meter import checkpoint
    from tracekeeper_sidecar.model import Position

    tally = make()
    older = replace(tables.copy_of(tally), texts={"operation": ["", "other", "my_step", "embeddings", "chat"]})
    checkpoint.restore(
        tally, checkpoint.read(_body(checkpoint.head(older, (), Position(1, 64, 0), 0, b""), tally.pack()))
    )
    for number, name in enumerate(("my_step", "embeddings", "chat", "execute_tool", "invoke_agent"), 1):
        tally.take(single((bytes([number]), b"p", 3, {"gen_ai.operation.name": name})), MILLISECONDS)
    tally.settle(MILLISECONDS, everything=True)
    assert {labels[3]: labels[2] for labels in rows(tally, "operations")} == {
        "my_step": "other",
        "embeddings": "embedding",
        "chat": "llm",
        "execute_tool": "tool",
        "invoke_agent": "agent",
    }


def test_a_fan_out_shows_as_it_is_before_the_request_ends() -> None:
    tally = make()
    calls = [(bytes([number + 1]), b"\xfe", 3, CHAT) for number in range(147)]
    tally.take(single(*calls), MILLISECONDS)
    assert [row.value for row in rows(tally, "request_calls_highest").values()] == [147.0]


def test_a_model_call_waits_for_its_agents_span() -> None:
    tally = make()
    tally.take(single((b"a", b"g", 3, CHAT)), MILLISECONDS)
    assert rows(tally, "cost") == {}
    tally.take(
        single((b"g", b"r", 1, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "x"})), MILLISECONDS
    )
    assert list(rows(tally, "cost")) == [("shop", "x", "", "openai", "gpt-4o")]


def test_a_model_call_without_an_agent_is_counted_ten_seconds_after_its_trace_fell_quiet() -> None:
    tally = make()
    tally.take(single((b"a", b"g", 3, CHAT)), MILLISECONDS)
    tally.settle(MILLISECONDS + 9_000)
    assert rows(tally, "cost") == {}
    tally.settle(MILLISECONDS + 10_000)
    assert rows(tally, "cost")["shop", "", "", "openai", "gpt-4o"].value == pytest.approx(0.0035)


def test_a_model_call_waits_no_longer_than_a_minute_in_a_trace_that_goes_on() -> None:
    tally = make()
    tally.take(single((b"a", b"g", 3, CHAT)), MILLISECONDS)
    for second in range(1, 61):
        assert rows(tally, "cost") == {}
        tally.take(single((b"b", b"g", 1, {})), MILLISECONDS + second * 1000)
        tally.settle(MILLISECONDS + second * 1000)
    assert rows(tally, "operations")["shop", "", "llm", "chat", "openai", "gpt-4o", "ok", ""].value == 1


def test_a_request_is_counted_two_seconds_after_its_trace_fell_quiet() -> None:
    tally = make()
    tally.take(single((b"r", b"", 2, {})), MILLISECONDS)
    tally.settle(MILLISECONDS + 1_900)
    assert rows(tally, "requests") == {}
    tally.settle(MILLISECONDS + 2_000)
    assert rows(tally, "requests")["shop", "", "", "ok", ""].value == 1
    found = rows(tally, "request_duration")["shop", "", ""].value
    assert isinstance(found, Histogram)
    exemplar = found.exemplars[7]  # One second, the bucket's bound.
    assert found.counts[7] == 1 and exemplar is not None
    assert (exemplar.trace_id, exemplar.span_id, exemplar.value) == (b"t" * 16, b"r" * 8, 1.0)


def test_another_model_that_answers_is_a_change() -> None:
    tally = make()
    for answered in ("gpt-4o-1", "gpt-4o-1", "gpt-4o-2", "gpt-4o-2"):
        tally.take(single((b"a", b"g", 3, CHAT | {"gen_ai.response.model": answered})), MILLISECONDS)
    assert rows(tally, "model_changes")["shop", "gpt-4o"].value == 1


def test_a_roll_up_on_an_agents_span_costs_nothing() -> None:
    tally = make()
    said = CHAT | {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "x"}
    tally.take(single((b"g", b"", 1, said)), MILLISECONDS)
    tally.settle(MILLISECONDS, everything=True)
    assert (rows(tally, "cost"), rows(tally, "tokens"), rows(tally, "unpriced_calls")) == ({}, {}, {})


def test_a_conversation_ends_after_half_an_hour() -> None:
    tally = make()
    said = CHAT | {"gen_ai.conversation.id": "c", "gen_ai.agent.name": "x"}
    tally.take(single((b"a", b"g", 3, said)), MILLISECONDS)
    assert rows(tally, "conversation_cost_highest")["shop", "x"].value == pytest.approx(0.0035)
    tally.settle(MILLISECONDS + 29 * 60_000)
    assert rows(tally, "conversation_duration") == {}
    tally.settle(MILLISECONDS + 31 * 60_000)
    found = rows(tally, "conversation_duration")["shop", "x"].value
    assert isinstance(found, Histogram) and found.total == 1.0


def test_a_body_that_is_cut_off_counts_nothing() -> None:
    tally = make()
    with pytest.raises(ValueError, match="cut off"):
        tally.take(single((b"a", b"g", 3, CHAT))[:-1], MILLISECONDS)
    assert rows(tally, "spans") == {}

"""What authors see: attributes as a mapping, spans that can be changed; and what the processes say to each other."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

import otlp_requests
from tracekeeper_sidecar.kit import Attributes, Span
from tracekeeper_sidecar.kit.samples import make_span, samples
from tracekeeper_sidecar.process.custom import worker
from tracekeeper_sidecar.process.custom.messages import HEAD, Garbage, Unpacker, What, pack
from tracekeeper_sidecar.process.custom.output import LINES, Output
from tracekeeper_sidecar.process.custom.spans import spans_of, take_out
from tracekeeper_sidecar.wire.scan import look

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5), st.lists(st.tuples(st.text(max_size=5), VALUES)))
def test_attributes_behave_as_a_dictionary_does(first: dict[str, Any], then: list[tuple[str, Any]]) -> None:
    attributes, model = Attributes(Message().attributes), dict[str, Any]()
    for key, value in [*first.items(), *then]:
        if key in model and value is None:
            del attributes[key], model[key]
        else:
            attributes[key] = model[key] = value
        assert dict(attributes) == model and len(attributes) == len(model) and list(attributes) == list(model)
    assert "not there" not in attributes and attributes.get("not there") is None


def test_of_a_key_that_is_there_twice_the_first_counts_and_all_go() -> None:
    message = Message()
    for number in (1, 2, 3):
        message.attributes.add(key="twin").value.int_value = number
    attributes = Attributes(message.attributes)
    assert attributes["twin"] == 1 and len(attributes) == 1
    attributes["twin"] = 7
    assert [pair.value.int_value for pair in message.attributes] == [7]
    message.attributes.add(key="twin")
    del attributes["twin"]
    assert not message.attributes
    with pytest.raises(KeyError):
        del attributes["twin"]


@pytest.mark.parametrize("value", [object(), {1: "x"}, 2**63, [object()], {"a": {"b": 1j}}])
def test_what_cannot_be_an_attribute_changes_nothing(value: Any) -> None:
    attributes = Attributes(Message().attributes)
    attributes["a"] = "before"
    with pytest.raises((TypeError, ValueError)):
        attributes["a"] = value
    assert dict(attributes) == {"a": "before"}
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    with pytest.raises(ValueError, match="lists and mappings"):
        attributes["a"] = deep
    attributes["nan"] = math.nan
    assert math.isnan(float(str(attributes["nan"])))


def test_spans_say_and_take_the_words_of_the_condition_language() -> None:
    span = make_span("a", kind="server", status="error", status_message="no", duration=2.0)
    assert (span.kind, span.status, span.status_message, span.parent_id) == ("server", "error", "no", "")
    assert len(span.trace_id) == 32 and len(span.span_id) == 16 and abs(span.duration - 2) < 1e-6
    span.kind, span.status, span.name = "client", "ok", "b"
    assert span.message.kind == 3 and span.message.status.code == 1 and span.message.name == "b"
    with pytest.raises(ValueError, match="the kind of a span is one of unspecified, internal"):
        span.kind = "srever"
    span.message.kind = 77  # type: ignore[assignment]
    assert span.kind == "unspecified"
    assert [event.name for event in samples()[3].events] == ["exception"]
    assert make_span("x", duration=-1).duration == 0.0


@otlp_requests.property_test
@given(otlp_requests.requests(), st.data())
def test_what_is_dropped_is_gone_with_scopes_that_are_empty(
    message: ExportTraceServiceRequest, data: st.DataObject
) -> None:
    spans = list(spans_of(message))
    ids = otlp_requests.span_ids(message)
    gone = data.draw(st.sets(st.integers(0, max(0, len(spans) - 1)))) if spans else set()
    for index in gone:
        spans[index].drop()
    assert take_out(message, spans) == len(gone)
    assert otlp_requests.span_ids(message) == [one for index, one in enumerate(ids) if index not in gone]
    if gone:
        assert all(scope.spans for one in message.resource_spans for scope in one.scope_spans)


@otlp_requests.property_test
@given(otlp_requests.requests())
def test_what_nobody_touches_comes_back_as_it_is(message: ExportTraceServiceRequest) -> None:
    class Looks:
        def process(self, spans: list[Span]) -> None:
            assert len([dict(span.attributes) for span in spans]) == len(spans)

    body = message.SerializeToString()
    assert worker.run(Looks(), body) == (body, 0)
    assert look(body).spans == len(otlp_requests.span_ids(message))


@given(st.sampled_from(What), st.binary(max_size=100), st.integers(0, 2**32 - 1), st.data())
def test_messages_arrive_in_pieces_of_any_size(what: What, body: bytes, number: int, data: st.DataObject) -> None:
    whole = pack(what, body, number, 7, 0.5)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1))))
    unpacker = Unpacker()
    pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found = [unpacker.feed(piece) for piece in pieces]
    assert found[:-1] == [None] * (len(pieces) - 1) and found[-1] == (what, number, 7, 0.5, body)


@pytest.mark.parametrize(
    "said", [b"x" * 22, pack(What.SAME) + b"more", HEAD.pack(5, 2**31, 0, 0, 0.0, 0), HEAD.pack(0, 0, 0, 0, 0, 0)]
)
def test_what_is_no_message_is_garbage(said: bytes) -> None:
    with pytest.raises(Garbage):
        Unpacker().feed(said)


def test_what_is_printed_is_logged_up_to_a_measure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    now = [0.0]
    output = Output(lambda: now[0])
    output.take(b"one\ntw")
    output.take(b"o\n" + b"y" * 5000 + b"\n" + b"x\n" * 100)
    assert len(caplog.records) == LINES and "prints: two" in caplog.text and "y" * 501 not in caplog.text
    now[0] = 61.0
    output.take(b"later\nlast")
    output.end()
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records[LINES:]] == [
        f"a custom step has printed {103 - LINES} more lines, which are not shown",
        "later",
        "last",
    ]

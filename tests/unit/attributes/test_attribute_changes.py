"""Attributes are copied, renamed, deleted and set as a plain model does it, and nothing else of a request changes."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import condition_oracle
import otlp_requests
from otlp_requests import SPANS, VALUES
from tracekeeper_sidecar.wire import attributes, match
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.varint import delimited
from tracekeeper_spec.condition import compile_condition
from uncompiled import plain

PROPERTY = settings(otlp_requests.property_test, max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])

KEYS = st.sampled_from(["a", "b", "c", "key", "kez", "", "x" * 62, "x" * 63, "y" * 200, "ü"])
PAIRS = st.lists(st.builds(KeyValue, key=KEYS, value=VALUES), max_size=6)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(1, 3))):
        group = message.resource_spans.add()
        if draw(st.booleans()):
            group.resource.attributes.extend(draw(PAIRS))
            group.resource.dropped_attributes_count = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(0, 2))):
            scope = group.scope_spans.add(schema_url="s")
            for span in draw(st.lists(SPANS, max_size=3)):
                del span.attributes[:]
                span.attributes.extend(draw(PAIRS))
                scope.spans.append(span)
    return message


Move = tuple[str, str, bool]
Put = tuple[str, bool, AnyValue | None]


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Move], list[str], list[Put]]:
    """What the policy's checks let pass: no key is written twice but where it is missing, or deleted and written."""
    targets = draw(st.lists(KEYS, unique=True, max_size=5))
    moves: list[Move] = []
    for target in targets[: draw(st.integers(0, 3))]:
        source, renames = draw(KEYS), draw(st.booleans())
        if source != target and not (renames and any(move[0] == source and move[2] for move in moves)):
            moves.append((source, target, renames))
    moves.sort(key=lambda move: move[2])
    written = {move[1] for move in moves}
    puts: list[Put] = []
    for key in draw(st.lists(KEYS, unique=True, max_size=3)):
        missing = key in written or draw(st.booleans())
        puts.append((key, missing, draw(st.none() | VALUES)))
    free = [key for key in draw(st.lists(KEYS, unique=True, max_size=3)) if key not in written]
    gone = {move[0] for move in moves if move[2]} | {put[0] for put in puts}
    return moves, [key for key in free if key not in gone], puts


def model(pairs: Sequence[KeyValue], moves: list[Move], deleted: list[str], puts: list[Put]) -> list[KeyValue]:
    """What becomes of the attributes of one span or resource."""
    first: dict[str, AnyValue] = {}
    for pair in pairs:
        first.setdefault(pair.key, pair.value)
    gone, new = set(deleted), list[KeyValue]()
    for source, target, renames in moves:
        if source in first:
            new.append(KeyValue(key=target, value=first[source]))
            gone |= {target, source} if renames else {target}
    present = {pair.key for pair in new} | (set(first) - gone)
    for key, missing, value in puts:
        if value is not None and not (missing and key in present):
            new.append(KeyValue(key=key, value=value))
            gone.add(key)
    return [*(pair for pair in pairs if pair.key not in gone), *new]


@pytest.fixture(scope="module", params=["imported", "plain"])
def modules(request: pytest.FixtureRequest) -> tuple[ModuleType, ModuleType]:
    """`match` and `attributes`."""
    if request.param == "imported":
        return match, attributes
    *_, matching, changing = plain("walker", "program", "match", "attributes")
    return matching, changing


def encoded(puts: list[Put]) -> tuple[bytes, ...]:
    return tuple(
        b"" if value is None else delimited(1, key.encode()) + delimited(2, value.SerializeToString())
        for key, _, value in puts
    )


@PROPERTY
@given(message=requests(), plan=plans(), condition=st.sampled_from(["", "span.is_root", 'span.attributes.a == "x"']))
def test_spans_change_as_the_model_says(
    modules: tuple[Any, Any], message: ExportTraceServiceRequest, plan: Any, condition: str
) -> None:
    matching, changing = modules
    moves, deleted, puts = plan
    body = message.SerializeToString()
    matcher = matching.Matcher(compile_condition(condition)) if condition else None
    changes = changing.Changes(moves, deleted, [put[:2] for put in puts], matcher, False)
    found, changed = changes.run(body, encoded(puts))
    for group in message.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                if condition and not condition_oracle.holds(condition, span, group.resource):
                    continue
                new = model(span.attributes, moves, deleted, puts)
                del span.attributes[:]
                span.attributes.extend(new)
    assert ExportTraceServiceRequest.FromString(found) == message
    assert (found is body) == (changed == 0)
    if otlp_requests.span_ids(message):
        assert look(found).spans == len(otlp_requests.span_ids(message))
    assert changes.run(body, encoded(puts)) == (found, changed)


@PROPERTY
@given(message=requests(), plan=plans(), condition=st.sampled_from(["", 'resource.attributes.a == "x"', "true"]))
def test_resources_change_as_the_model_says(
    modules: tuple[Any, Any], message: ExportTraceServiceRequest, plan: Any, condition: str
) -> None:
    matching, changing = modules
    moves, deleted, puts = plan
    body = message.SerializeToString()
    matcher = matching.Matcher(compile_condition(condition)) if condition else None
    found, changed = changing.Changes(moves, deleted, [put[:2] for put in puts], matcher, True).run(body, encoded(puts))
    for group in message.resource_spans:
        if condition and not condition_oracle.holds(condition, Span(), group.resource):
            continue
        new = model(group.resource.attributes, moves, deleted, puts)
        if group.HasField("resource") or new:
            del group.resource.attributes[:]
            group.resource.attributes.extend(new)
    assert ExportTraceServiceRequest.FromString(found) == message
    assert (found is body) == (changed == 0)


def test_large_values_and_many_copies_have_room(modules: tuple[Any, Any]) -> None:
    _, changing = modules
    body = otlp_requests.body(3, text="v" * 100_000)
    moves = [("key.0", f"copy.{number}", False) for number in range(32)]
    found, changed = changing.Changes(moves, [], [], None, False).run(body, ())
    assert changed == 3 and len(found) > 3 * 32 * 100_000
    spans = ExportTraceServiceRequest.FromString(found).resource_spans[0].scope_spans[0].spans
    assert all(len(span.attributes) == 35 for span in spans)


def test_any_number_of_twins_goes(modules: tuple[Any, Any]) -> None:
    _, changing = modules
    for twins in (1, 63, 64, 65, 300):
        message = otlp_requests.request(2)
        for span in message.resource_spans[0].scope_spans[0].spans:
            for number in range(twins):
                span.attributes.add(key="twin").value.int_value = number
        changes = changing.Changes([("twin", "first", True)], [], [], None, False)
        found, changed = changes.run(message.SerializeToString(), ())
        [scope] = ExportTraceServiceRequest.FromString(found).resource_spans[0].scope_spans
        assert changed == 2
        assert [len(span.attributes) for span in scope.spans] == [4, 4]
        assert all(span.attributes[-1] == KeyValue(key="first", value=AnyValue(int_value=0)) for span in scope.spans)


def test_unknown_fields_stay_and_what_is_cut_off_is_refused(modules: tuple[Any, Any]) -> None:
    _, changing = modules
    extra = delimited(9, b"later")
    body = otlp_requests.body(2) + extra + otlp_requests.body(3)
    changes = changing.Changes([], ["key.1"], [], None, False)
    found, changed = changes.run(body, ())
    assert changed == 5 and extra in found and len(body) - len(found) == 5 * 18
    with pytest.raises(ValueError, match="cut off"):
        changes.run(body[:-1], ())
    assert changes.run(b"", ()) == (b"", 0)


def test_what_does_not_change_comes_back_as_it_is(modules: tuple[Any, Any]) -> None:
    _, changing = modules
    body = otlp_requests.body(3)
    for of_resource in (False, True):
        found, changed = changing.Changes([("no", "such", True)], ["thing"], [("k", False)], None, of_resource).run(
            body, (b"",)
        )
        assert found is body and changed == 0

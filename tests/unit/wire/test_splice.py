"""Spans, resources and scopes put in place of others, held against the official protobuf classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import otlp_requests
from tracekeeper_sidecar.wire import splice as module
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.splice import places, splice


def _request(shape: list[list[int]], size: int = 3) -> ExportTraceServiceRequest:
    """Resources, of scopes, of so many spans each."""
    message = ExportTraceServiceRequest()
    for number, scopes in enumerate(shape):
        resource = message.resource_spans.add(schema_url=f"https://schema/{number}")
        resource.resource.attributes.add(key="service.name").value.string_value = f"service-{number}"
        for spans in scopes:
            scope = resource.scope_spans.add()
            scope.scope.name = "tests"
            scope.spans.extend(otlp_requests.request(spans, text="x" * size).resource_spans[0].scope_spans[0].spans)
    return message


def test_the_module_is_the_compiled_one() -> None:
    assert module.__file__.endswith(".so")


def test_without_edits_the_very_same_bytes_come_out() -> None:
    body = otlp_requests.body(3)
    assert splice(body, []) is body


shapes = st.lists(st.lists(st.integers(0, 4), min_size=0, max_size=3), min_size=1, max_size=3)


@otlp_requests.property_test
@given(shape=shapes, size=st.sampled_from([0, 5, 120, 20_000]), data=st.data())
def test_it_does_what_the_protobuf_library_does(shape: list[list[int]], size: int, data: st.DataObject) -> None:
    message = _request(shape, size)
    body = message.SerializeToString()
    found = places(body)
    edits: list[tuple[int, int, bytes | None]] = []
    touched: set[int] = set()
    at = 0
    for resource in message.resource_spans:
        emptied_scopes = []
        for scope in resource.scope_spans:
            place = found[at] if scope.spans else None
            if place is not None and place.resource not in touched and data.draw(st.booleans()):
                touched.add(place.resource)
                resource.resource.attributes.add(key="k").value.string_value = "y" * data.draw(
                    st.sampled_from([1, 300])
                )
                edits.append((place.resource, place.resource_end, resource.resource.SerializeToString()))
            if place is not None and data.draw(st.booleans()):
                scope.scope.name = data.draw(st.sampled_from(["", "n" * 200]))
                edits.append((place.scope, place.scope_end, scope.scope.SerializeToString()))
            kept = []
            for span in scope.spans:
                place = found[at]
                at += 1
                match data.draw(st.sampled_from(["keep", "change", "drop"])):
                    case "keep":
                        kept.append(span)
                    case "change":
                        span.name = data.draw(st.sampled_from(["", "name", "long" * 50]))
                        edits.append((place.span, place.span_end, span.SerializeToString()))
                        kept.append(span)
                    case "drop":
                        edits.append((place.span, place.span_end, None))
            emptied_scopes.append(bool(scope.spans) and not kept)
            copies = [type(span).FromString(span.SerializeToString()) for span in kept]
            del scope.spans[:]
            scope.spans.extend(copies)
        if any(emptied_scopes):
            left = [s for s, emptied in zip(resource.scope_spans, emptied_scopes, strict=True) if not emptied]
            copies_of_scopes = [type(s).FromString(s.SerializeToString()) for s in left]
            del resource.scope_spans[:]
            resource.scope_spans.extend(copies_of_scopes)
            resource.schema_url += "" if left else "!gone"
    expected = ExportTraceServiceRequest()
    expected.resource_spans.extend(one for one in message.resource_spans if not one.schema_url.endswith("!gone"))
    made = splice(body, sorted(edits))
    assert ExportTraceServiceRequest.FromString(made) == expected
    assert look(made).spans == len(otlp_requests.span_ids(expected))


def test_unknown_fields_stay() -> None:
    body = otlp_requests.body(2) + b"\x7a\x03new"
    place = places(body)[0]
    made = splice(body, [(place.span, place.span_end, None)])
    assert made.endswith(b"\x7a\x03new")
    assert look(made).spans == 1


def test_an_edit_that_is_at_no_such_place_is_an_error_of_ours() -> None:
    body = otlp_requests.body(2)
    place = places(body)[0]
    for wrong in (
        (place.span + 1, place.span_end, b""),
        (place.span, place.span_end - 1, b""),
        (len(body), len(body), b""),
    ):
        with pytest.raises(ValueError, match="byte"):
            splice(body, [wrong])

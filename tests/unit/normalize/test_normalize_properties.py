"""Whatever spans say: they come out as they went in, with more said; and a second time changes nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import normalize_world as world
import otlp_requests
from normalize_world import NOW
from tracekeeper_sidecar import wire
from tracekeeper_sidecar.process.normalize import keys, step
from tracekeeper_sidecar.process.normalize.dialects import DIALECTS
from tracekeeper_sidecar.process.normalize.row import SPAN_NAME
from tracekeeper_sidecar.process.normalize.table import Table
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire import (
    normalize,
    normalize_answers,
    normalize_repeats,
    normalize_span,
    normalize_usage,
    scan,
)

IMPORTED = {
    "normalize": normalize,
    "normalize_answers": normalize_answers,
    "normalize_repeats": normalize_repeats,
    "normalize_span": normalize_span,
    "normalize_usage": normalize_usage,
}
"""Compiled, after `make setup`."""
SOURCES = sorted(
    {row.source for dialect in DIALECTS for row in dialect.rows if row.source != SPAN_NAME}
    | {row.source for dialect in DIALECTS for row in dialect.kinds}
    | {row.source for dialect in DIALECTS for row in dialect.messages if not row.source.startswith("event ")}
    | {mark for dialect in DIALECTS for mark in dialect.marks}
    | {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}
)
EVENTS = [row.source.removeprefix("event ") for dialect in DIALECTS for row in dialect.messages if " " in row.source]
PARTS = (
    "role content message.role message.content tool_calls 0 1 id name text finish_reason prompt.text toolCalls object "
    "message.tool_calls.0.tool_call.function.name message.contents.0.message_content.type reasoning"
).split()
WORDS = sorted({value for dialect in DIALECTS for row in dialect.kinds for value in row.values} | {"LLM", "user", "x"})
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "parts", "messages", "type", "text", "tool_calls", "function", "input", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
TEXTS = (
    JSON.map(json.dumps)
    | JSON.map(json.dumps).map(lambda text: text[:-1])
    | st.sampled_from(WORDS)
    | st.text(max_size=9)
)
NUMBERS = (
    st.sampled_from([0, 1, 7, 800, 10**9, 10**9 + 1, -1, 2**63 - 1])
    | st.floats()
    | st.sampled_from(["12", "1e3", "-4"])
)
VALUES: st.SearchStrategy[Any] = TEXTS | NUMBERS
INDEXED = st.builds(
    lambda source, place, part: f"{source}{place}.{part}",
    st.sampled_from([source for source in SOURCES if source.endswith(".")]),
    st.integers(0, 3),
    st.sampled_from(PARTS),
)
KEYS = st.sampled_from(SOURCES) | INDEXED | st.text(max_size=9)


def known(value: Any) -> Any:
    return world.any_value(value)


ATTRIBUTES = st.lists(
    st.builds(KeyValue, key=KEYS, value=VALUES.map(known) | otlp_requests.VALUES),
    max_size=9,
    unique_by=lambda one: one.key,
)
SPANS = st.builds(
    Span,
    trace_id=st.just(world.TRACE),
    span_id=st.integers(1, 4).map(lambda number: number.to_bytes(8)),
    parent_span_id=st.just(b"") | st.integers(1, 4).map(lambda number: number.to_bytes(8)),
    name=st.sampled_from(["chat", ""]),
    start_time_unix_nano=st.integers(NOW, NOW + 10),
    end_time_unix_nano=st.integers(NOW, NOW + 10**10),
    attributes=ATTRIBUTES,
    events=st.lists(
        st.builds(Span.Event, name=st.sampled_from(EVENTS) | st.text(max_size=9), attributes=ATTRIBUTES), max_size=2
    ),
)
SCOPES = st.sampled_from(["", "tests", *(scope for dialect in DIALECTS for scope in dialect.scopes)])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    message = ExportTraceServiceRequest()
    for spans in draw(st.lists(st.lists(SPANS, max_size=4), max_size=2)):
        scope = message.resource_spans.add().scope_spans.add()
        scope.scope.name = draw(SCOPES)
        scope.spans.extend(spans)
    return message.SerializeToString()


def spans(content: bytes) -> list[Span]:
    message = ExportTraceServiceRequest.FromString(content)
    return [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]


def run(by: step.Normalize, content: bytes) -> bytes:
    request = Request(content, len(spans(content)), NOW)
    by.run(request)
    return request.body


@otlp_requests.property_test
@given(content=requests())
def test_spans_are_the_same_with_more_said(content: bytes) -> None:
    after = run(world.step(), content)

    assert scan.look(after).spans == len(spans(content))
    for was, now in zip(spans(content), spans(after), strict=True):
        says = {item.key: item.value.SerializeToString() for item in now.attributes}
        assert len(says) == len(now.attributes)
        for item in was.attributes:
            if item.key not in (*keys.TOKENS, keys.INPUT_MESSAGES, keys.OUTPUT_MESSAGES):
                assert says[item.key] == item.value.SerializeToString()
        now.ClearField("attributes")
        was.ClearField("attributes")
        assert now == was


@otlp_requests.property_test
@given(content=requests(), keep=st.booleans())
def test_a_second_time_changes_nothing(content: bytes, keep: bool) -> None:
    once = run(world.step(keep_originals=keep), content)

    assert run(world.step(keep_originals=keep), once) == once


@otlp_requests.property_test
@given(content=requests())
def test_canonical_tokens_are_inclusive(content: bytes) -> None:
    for span in world.said(run(world.step(), content)):
        if span.get(keys.BASIS) == "exclusive" and all(
            isinstance(span.get(key), int) for key in (keys.INPUT, keys.CACHE_READ)
        ):
            assert 0 <= span[keys.INPUT] <= 10**9


@otlp_requests.property_test
@given(content=requests(), cut=st.integers(0, 400), place=st.integers(0, 400), byte=st.integers(0, 255))
def test_damaged_requests_do_no_harm(content: bytes, cut: int, place: int, byte: int) -> None:
    """What the scanner would refuse never comes here; if it did, nothing but an error would come of it."""
    damaged = bytearray(content[: len(content) - cut % (len(content) + 1)])
    if damaged:
        damaged[place % len(damaged)] = byte
    try:
        world.step().run(Request(bytes(damaged), 1, NOW))
    except ValueError:
        pass


@pytest.fixture(scope="module")
def plain() -> Iterator[dict[str, ModuleType]]:
    """The compiled modules from their .py files, whatever was compiled."""
    loaded: dict[str, ModuleType] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "walker",
            "normalize_answers",
            "normalize_usage",
            "normalize_repeats",
            "normalize",
            "normalize_span",
        ):
            full = f"tracekeeper_sidecar.wire.{name}"
            spec = importlib.util.spec_from_file_location(full, Path(wire.__path__[0], f"{name}.py"))
            assert spec is not None and spec.loader is not None
            loaded[name] = importlib.util.module_from_spec(spec)
            patch.setitem(sys.modules, full, loaded[name])
            patch.setattr(wire, name, loaded[name])
            spec.loader.exec_module(loaded[name])
        yield loaded


@otlp_requests.property_test
@given(contents=st.lists(requests(), min_size=1, max_size=3))
def test_the_compiled_pass_finds_what_the_plain_one_finds(plain: dict[str, ModuleType], contents: list[bytes]) -> None:
    table = Table()
    found = []
    for half in (IMPORTED, plain):
        known = half["normalize_usage"].Usage(), half["normalize_answers"].Answers()
        repeats = half["normalize_repeats"].Repeats(*known, 12345)
        normalizer = half["normalize"].Normalizer(table.judge, repeats)
        seen: list[Any] = []
        for content in contents:
            work = normalizer.look(content)
            seen.append([(each.span, each.span_end, each.scope, each.resource, each.why) for each in work])
            seen.append(normalizer.repeated(NOW))
            parts = half["normalize_span"].Parts()
            seen += [(parts.attributes(content, each.span, each.span_end), parts.events) for each in work]
        found.append(seen)

    assert found[0] == found[1]

"""OpenAI's trace ingest to OTLP: what each type of span becomes, and that whatever comes is understood or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from openai_items import SPAN, TRACE, USAGE, body, converted, one, services, span, spans, trace, values
from otlp_requests import property_test
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import openai_trace
from tracekeeper_sidecar.wire.openai_json import convert
from tracekeeper_sidecar.wire.propagation import Parent
from tracekeeper_sidecar.wire.scan import look

ALWAYS = {"tracekeeper.dialect": "openai_agents", "openai.agents.span_id": SPAN}
PARENT = Parent(bytes(range(1, 17)), bytes(range(1, 9)), 1, "vendor=x")
IN_TOKENS, OUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
CACHE, REASONING = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.reasoning.output_tokens"
COUNTED = {IN_TOKENS: 100, OUT_TOKENS: 20, CACHE: 40, REASONING: 5, "tracekeeper.token_basis": "inclusive"}
TURN_USAGE = {"input_tokens": 100, "output_tokens": 20, "cached_input_tokens": 40, "cache_write_input_tokens": 0}
REPEATED = {
    IN_TOKENS: 100, OUT_TOKENS: 20, CACHE: 40, "tracekeeper.token_basis": "inclusive",
    "tracekeeper.usage.repeated": True,
}  # fmt: skip
CLIENT, INTERNAL = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL

TYPES: list[tuple[dict[str, Any], str, int, dict[str, Any]]] = [
    (
        {"type": "agent", "name": "triage", "handoffs": ["writer"], "tools": ["weather"], "output_type": "str"},
        "invoke_agent triage", INTERNAL,
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage", "openai.agents.handoffs": ["writer"],
         "openai.agents.tools": ["weather"], "openai.agents.output_type": "str"},
    ),
    (
        {"type": "generation", "input": [{"role": "user", "content": "hello"}],
         "output": [{"role": "assistant", "content": None, "tool_calls": [
             {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]}],
         "model": "gpt-4o", "model_config": {"temperature": 0.5, "max_tokens": 9, "tool_choice": "auto", "store": None,
                                             "base_url": "https://api.openai.com/v1/"}, "usage": USAGE},
        "chat gpt-4o", CLIENT,
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.request.temperature": 0.5,
         "gen_ai.request.max_tokens": 9, "gen_ai.provider.name": "openai",
         "openai.agents.model_config": '{"tool_choice":"auto","base_url":"https://api.openai.com/v1/"}',
         "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hello"}]}]',
         "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"weather",'
                                   '"arguments":"{}"}]}]', **COUNTED},
    ),
    (
        {"type": "response", "response_id": "resp_1", "usage": USAGE}, "chat", CLIENT,
        {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.response.id": "resp_1", **COUNTED},
    ),
    (
        {"type": "function", "name": "weather", "input": '{"city":"Oslo"}', "output": "12 C",
         "mcp_data": {"server": "files"}},
        "execute_tool weather", INTERNAL,
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather",
         "gen_ai.tool.call.arguments": '{"city":"Oslo"}', "gen_ai.tool.call.result": "12 C",
         "openai.agents.mcp.server": "files"},
    ),
    (
        {"type": "handoff", "from_agent": "triage", "to_agent": "writer"}, "handoff triage to writer", INTERNAL,
        {"tracekeeper.kind": "handoff", "openai.agents.from_agent": "triage", "openai.agents.to_agent": "writer"},
    ),
    (
        {"type": "guardrail", "name": "no_pii", "triggered": True}, "guardrail no_pii", INTERNAL,
        {"tracekeeper.kind": "guardrail", "openai.agents.name": "no_pii", "openai.agents.guardrail.triggered": True},
    ),
    (
        {"type": "custom", "name": "task", "data": {"sdk_span_type": "task", "name": "Demo", "usage": {
            **TURN_USAGE, "requests": 3, "total_tokens": 120}}},
        "run Demo", INTERNAL,
        {"openai.agents.type": "task", "tracekeeper.kind": "runner", "openai.agents.name": "Demo", **REPEATED,
         "openai.agents.usage": '{"requests":3}'},
    ),
    (
        {"type": "custom", "name": "turn", "data": {
            "sdk_span_type": "turn", "turn": 2, "agent_name": "triage", "usage": TURN_USAGE}},
        "turn 2", INTERNAL,
        {"openai.agents.type": "turn", "tracekeeper.kind": "pipeline", "gen_ai.agent.name": "triage",
         "openai.agents.turn": 2, **REPEATED},
    ),
    (
        {"type": "custom", "name": "step", "data": {"a": [1, None]}}, "step", INTERNAL,
        {"tracekeeper.kind": "pipeline", "openai.agents.name": "step",
         "openai.agents.span_data": '{"data":{"a":[1,null]}}'},
    ),
    (
        {"type": "transcription", "input": {"data": "UklG", "format": "pcm"}, "output": "hi", "model": "whisper-1",
         "model_config": {"temperature": 0}},
        "transcription whisper-1", CLIENT,
        {"tracekeeper.kind": "llm", "gen_ai.request.model": "whisper-1", "gen_ai.request.temperature": 0.0,
         "openai.agents.output": "hi", "openai.agents.span_data": '{"input":{"data":"UklG","format":"pcm"}}'},
    ),
    (
        {"type": "speech", "input": "hi", "output": {"data": "UklG", "format": "pcm"}, "model": "tts-1",
         "model_config": {}, "first_content_at": "2026-11-22T13:11:17+00:00"},
        "speech tts-1", CLIENT,
        {"tracekeeper.kind": "llm", "gen_ai.request.model": "tts-1", "openai.agents.input": "hi",
         "openai.agents.first_content_at": "2026-11-22T13:11:17+00:00",
         "openai.agents.span_data": '{"output":{"data":"UklG","format":"pcm"}}'},
    ),
    (
        {"type": "speech_group", "input": "hi"}, "speech_group", INTERNAL,
        {"tracekeeper.kind": "pipeline", "openai.agents.input": "hi"},
    ),
    (
        {"type": "mcp_tools", "server": "files", "result": ["read", "write"]}, "tools/list files", CLIENT,
        {"tracekeeper.kind": "tool", "mcp.method.name": "tools/list", "openai.agents.mcp.server": "files",
         "openai.agents.tools": ["read", "write"]},
    ),
    (
        {"type": "dream", "name": "sheep", "count": 3}, "dream sheep", INTERNAL,
        {"openai.agents.type": "dream", "tracekeeper.kind": "pipeline",
         "openai.agents.span_data": '{"name":"sheep","count":3}'},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "name", "kind", "attributes"), TYPES, ids=[each[1] for each in TYPES])
def test_each_type_of_span(data: dict[str, Any], name: str, kind: int, attributes: dict[str, Any]) -> None:
    made = one(span(data))
    assert (made.name, made.kind) == (name, kind)
    assert values(made.attributes) == {**ALWAYS, "openai.agents.type": data["type"], **attributes}
    assert (made.trace_id.hex(), made.span_id.hex()) == (TRACE[6:], SPAN[5:21])
    assert (made.parent_span_id, made.flags, made.HasField("status")) == (b"", 0, False)
    assert made.start_time_unix_nano == 1795353077099368000
    assert made.end_time_unix_nano == 1795353078099407000


def test_a_response_has_the_model_that_its_metadata_names() -> None:
    made = one(span({"type": "response", "response_id": "r"}, metadata={"model": "gpt-4o-2024-08-06", "harness": "h"}))
    found = values(made.attributes)
    assert made.name == "chat gpt-4o-2024-08-06"
    assert found["gen_ai.response.model"] == "gpt-4o-2024-08-06"
    assert found["openai.agents.metadata"] == '{"harness":"h"}'


def test_what_a_trace_item_says_is_on_each_of_its_spans() -> None:
    metadata = {"user_id": "u1", "service.name": "shop", "n": 3}
    child = span({"type": "custom", "name": "b"}, id="span_" + "c" * 24, parent_id=SPAN)
    made = converted(span({"type": "custom", "name": "a"}), child, trace(group_id="g1", metadata=metadata))
    for each in spans(made.payload):
        found = values(each.attributes)
        assert found["gen_ai.workflow.name"] == "Demo"
        assert found["gen_ai.conversation.id"] == "g1"
        assert found["user.id"] == "u1"
        assert json.loads(found["openai.agents.trace.metadata"]) == metadata
    assert list(services(made.payload)) == ["shop"]
    assert spans(made.payload)[1].parent_span_id == bytes.fromhex(SPAN[5:21])
    assert (made.heard, set(made.traces)) == ({TRACE}, {TRACE})


@pytest.mark.parametrize(
    ("size", "on_top", "on_others"), [(10, True, True), (3000, True, False), (70_000, False, False)]
)
def test_large_metadata_is_on_top_alone(size: int, on_top: bool, on_others: bool) -> None:
    child = span({"type": "custom", "name": "b"}, parent_id=SPAN)
    made = converted(trace(metadata={"a": "x" * size}), span({"type": "custom", "name": "a"}), child)
    top, below = (values(each.attributes) for each in spans(made.payload))
    assert ("openai.agents.trace.metadata" in top, "openai.agents.trace.metadata" in below) == (on_top, on_others)
    assert top.get("openai.agents.trace.metadata_size") == (None if on_top else size + 8)


def test_services_by_trace_and_by_default() -> None:
    other = "trace_" + "1" * 32
    items = [
        trace(metadata={"service.name": "shop"}),
        span({"type": "custom", "name": "a"}),
        span({"type": "custom", "name": "b"}, trace_id=other),
    ]
    assert sorted(services(converted(*items).payload)) == ["shop", "unknown_service:openai-agents"]
    assert sorted(services(converted(*items, service="agents").payload)) == ["agents", "shop"]


def test_a_trace_that_names_its_parent_hangs_below_it() -> None:
    metadata = {"Traceparent": f"00-{PARENT.trace_id.hex()}-{PARENT.span_id.hex()}-01", "tracestate": "vendor=x"}
    child = span({"type": "custom", "name": "b"}, parent_id=SPAN)
    made = converted(
        trace(metadata=metadata), span({"type": "custom", "name": "a"}), child, parent=Parent(b"9" * 16, b"9")
    )
    top, below = spans(made.payload)
    for each in (top, below):
        assert (each.trace_id, each.trace_state) == (PARENT.trace_id, "vendor=x")
        assert values(each.attributes)["openai.agents.trace_id"] == TRACE
    assert (top.parent_span_id, top.flags) == (PARENT.span_id, 0x301)
    assert (below.parent_span_id, below.flags) == (bytes.fromhex(SPAN[5:21]), 0x101)


def test_the_request_names_the_parent_of_the_only_trace() -> None:
    a = span({"type": "custom", "name": "a"})
    assert one(trace(), a, parent=PARENT).parent_span_id == PARENT.span_id
    assert converted(a, parent=PARENT).traces[TRACE].parent == PARENT
    two = converted(a, span({"type": "custom", "name": "b"}, trace_id="trace_" + "1" * 32), parent=PARENT)
    assert [each.parent_span_id for each in spans(two.payload)] == [b"", b""]


def test_what_was_said_before_counts() -> None:
    known = openai_trace.read(trace(group_id="g1"))[1]
    made = convert(body(span({"type": "custom", "name": "a"})), {TRACE: known}.get)
    (found,) = spans(made.payload)
    assert values(found.attributes)["gen_ai.conversation.id"] == "g1"


@pytest.mark.parametrize(
    ("usage", "counted", "kept"),
    [
        ({"input_tokens": "100", "output_tokens": 20}, {OUT_TOKENS: 20}, {"input_tokens": "100"}),
        ({"input_tokens": -1, "output_tokens": 2.5}, {}, {"input_tokens": -1, "output_tokens": 2.5}),
        ({"input_tokens": True, "output_tokens": None}, {}, {"input_tokens": True}),
        ({"input_tokens": 7.0, "output_tokens": 0}, {IN_TOKENS: 7, OUT_TOKENS: 0}, None),
        ({"input_tokens": 10**30}, {}, {"input_tokens": "1" + "0" * 30}),
        ({"input_tokens": 2**60}, {}, {"input_tokens": 2**60}),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9}, {IN_TOKENS: 3, OUT_TOKENS: 4},
         {"total_tokens": 9}),
        ({"input_tokens": 3, "prompt_tokens": 4}, {IN_TOKENS: 3}, {"prompt_tokens": 4}),
        ({"input_tokens_details": {"cached_tokens": "x", "audio_tokens": 4}}, {},
         {"input_tokens_details": {"cached_tokens": "x", "audio_tokens": 4}}),
        ({"input_tokens_details": 3}, {}, {"input_tokens_details": 3}),
        ("many", {}, "many"),
        ([1], {}, [1]),
    ],
)  # fmt: skip
def test_what_is_no_count_is_kept_and_not_counted(usage: Any, counted: dict[str, Any], kept: Any) -> None:
    found = values(one(span({"type": "generation", "usage": usage})).attributes)
    assert {name: value for name, value in found.items() if name.startswith("gen_ai.usage.")} == counted
    assert json.loads(found.get("openai.agents.usage", "null")) == kept


def test_numbers_that_json_does_not_have() -> None:
    text = b'{"data": [%s]}' % json.dumps(span({"type": "generation", "usage": {"input_tokens": 0, "x": 1}})).encode()
    text = text.replace(b'"input_tokens": 0', b'"input_tokens": NaN').replace(b'"x": 1', b'"x": 1e999')
    (found,) = spans(convert(text, lambda name: None).payload)
    assert values(found.attributes)["openai.agents.usage"] == '{"input_tokens":"NaN","x":"1e999"}'


MESSAGES: list[tuple[Any, str, Any]] = [
    ([{"role": "tool", "tool_call_id": "c1", "content": "12 C"}], "gen_ai.input.messages",
     [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "12 C"}]}]),
    ([{"role": "assistant", "content": "yes", "reasoning_content": "hm", "refusal": None, "name": "a"}],
     "gen_ai.input.messages",
     [{"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "yes"}],
       "name": "a"}]),
    ([{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "u"}}]}],
     "gen_ai.input.messages",
     [{"role": "user",
       "parts": [{"type": "text", "content": "see"}, {"type": "image_url", "image_url": {"url": "u"}}]}]),
    ([{"role": "user", "parts": [{"type": "text", "content": "as it is"}]}], "gen_ai.input.messages",
     [{"role": "user", "parts": [{"type": "text", "content": "as it is"}]}]),
    ([{"role": "assistant", "tool_calls": ["odd", {"id": "x"}]}], "gen_ai.input.messages",
     [{"role": "assistant", "parts": ["odd", {"id": "x"}]}]),
    ([{"role": "user", "content": 3}], "gen_ai.input.messages", [{"role": "user", "parts": [], "content": 3}]),
    ([{"role": "user", "content": "a"}, {"content": "b"}], "openai.agents.input",
     [{"role": "user", "content": "a"}, {"content": "b"}]),
    ({"a": 1}, "openai.agents.input", {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("came", "where", "there"), MESSAGES)
def test_messages(came: Any, where: str, there: Any) -> None:
    found = values(one(span({"type": "generation", "input": came})).attributes)
    assert json.loads(found[where]) == there


@pytest.mark.parametrize(
    ("error", "message", "attributes"),
    [
        ({"message": "no", "data": {"name": "RateLimitError", "n": 1}}, "no",
         {"error.type": "RateLimitError", "openai.agents.error.data": '{"name":"RateLimitError","n":1}'}),
        ({"message": "no", "data": None}, "no", {"error.type": "_OTHER"}),
        ({"message": {"a": 1}, "data": {"name": "not a name"}}, '{"a":1}',
         {"error.type": "_OTHER", "openai.agents.error.data": '{"name":"not a name"}'}),
        ("broken", "broken", {"error.type": "_OTHER"}),
        (17, "17", {"error.type": "_OTHER"}),
    ],
)  # fmt: skip
def test_errors(error: Any, message: str, attributes: dict[str, str]) -> None:
    made = one(span({"type": "custom", "name": "a"}, error=error))
    assert (made.status.code, made.status.message) == (Status.STATUS_CODE_ERROR, message)
    found = values(made.attributes)
    assert {name: found[name] for name in found if "error" in name} == attributes


@pytest.mark.parametrize(
    ("times", "begin", "end", "kept"),
    [
        ({"started_at": "2026-11-22T13:11:17.5Z"}, 1795353077500000000, 1795353078099407000, {}),
        ({"started_at": "2026-11-22T13:11:17"}, 1795353077000000000, 1795353078099407000, {}),
        ({"started_at": "2026-11-22T15:11:17+02:00"}, 1795353077000000000, 1795353078099407000, {}),
        ({"started_at": None}, 1795353078099407000, 1795353078099407000, {}),
        ({"ended_at": "soon"}, 1795353077099368000, 1795353077099368000, {"openai.agents.ended_at": "soon"}),
        ({"started_at": 17}, 1795353078099407000, 1795353078099407000, {"openai.agents.started_at": "17"}),
        ({"started_at": "1969-12-31T23:59:59Z"}, 1795353078099407000, 1795353078099407000,
         {"openai.agents.started_at": "1969-12-31T23:59:59Z"}),
        ({"started_at": "9999-12-31T23:59:59Z"}, 1795353078099407000, 1795353078099407000,
         {"openai.agents.started_at": "9999-12-31T23:59:59Z"}),
    ],
)  # fmt: skip
def test_times(times: dict[str, Any], begin: int, end: int, kept: dict[str, str]) -> None:
    made = one(span({"type": "custom", "name": "a"}, **times))
    assert (made.start_time_unix_nano, made.end_time_unix_nano) == (begin, end)
    assert {name: value for name, value in values(made.attributes).items() if name.endswith("ed_at")} == kept


def test_ids_of_other_forms() -> None:
    made = one(span({"type": "custom", "name": "a"}, id="span_x", trace_id="trace_my-own", parent_id="span_y"))
    assert made.trace_id == openai_trace.trace_id("trace_my-own")
    assert made.span_id == openai_trace.span_id("span_x") != made.parent_span_id
    assert values(made.attributes)["openai.agents.trace_id"] == "trace_my-own"
    assert any(openai_trace.trace_id("trace_" + "0" * 32))
    assert any(openai_trace.span_id("span_" + "0" * 24))


REFUSED: list[tuple[Any, str]] = [
    (3, "data[1]: a number; must be an object"),
    (None, "data[1]: null; must be an object"),
    ({"object": "trace.end"}, "data[1].object: a string of 9 characters; must be 'trace' or 'trace.span'"),
    ({}, "data[1].object: null; must be 'trace' or 'trace.span'"),
    (span(None), "data[1].span_data: missing"),
    (span([]), "data[1].span_data: an array; must be an object"),
    (span({"type": "agent"}, id=None), "data[1].id: missing"),
    (span({"type": "agent"}, id=""), "data[1].id: 0 characters; must be 1 to 256"),
    (span({"type": "agent"}, trace_id=7), "data[1].trace_id: a number; must be a string"),
    (span({"type": "agent"}, parent_id="x" * 257), "data[1].parent_id: 257 characters; must be 1 to 256"),
    (span({"type": "agent"}, started_at="x", ended_at=None),
     "data[1].started_at: a string of one character; must be a time by ISO 8601, and ended_at is none either"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "problem"), REFUSED)
def test_an_item_that_is_not_understood_is_named_and_the_others_are_stored(item: Any, problem: str) -> None:
    made = converted(span({"type": "custom", "name": "a"}), item)
    assert (made.refused, made.problem) == (1, problem)
    assert len(spans(made.payload)) == 1


def test_a_trace_item_that_is_not_understood_is_named() -> None:
    made = converted(trace(id=3), span({"type": "custom", "name": "a"}))
    assert (made.refused, made.problem) == (0, "data[0].id: a number; must be a string")
    assert len(spans(made.payload)) == 1


def test_what_traces_say_cannot_blow_a_request_up() -> None:
    metadata = {"a": "x" * 16_000}
    tops = [span({"type": "custom", "name": "a"}) for _ in range(100)]
    assert len(spans(converted(trace(metadata=metadata), *tops).payload)) == 100
    with pytest.raises(WireError, match="data: becomes too large"):
        converted(trace(metadata=metadata), *tops, *tops, *tops)
    made = converted(trace(workflow_name="x" * 2049), tops[0])
    assert (made.problem, made.traces) == ("data[0].workflow_name: 2049 characters; must be at most 2048", {})
    assert len(spans(made.payload)) == 1


def test_many_problems_are_counted() -> None:
    made = converted(*[3] * 7)
    assert made.refused == 7
    assert made.problem.endswith("data[4]: a number; must be an object; and 2 more")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "JSON: Expecting value at line 1 column 1"),
        (b'{"data": [{"object"', "JSON: Expecting ':' delimiter at line 1 column 20"),
        (b"[]", "JSON: an array; must be an object with the member data"),
        (b"{}", "data: missing"),
        (b'{"data": {}}', "data: an object; must be an array"),
        (b'{"data": "\xff"}', "JSON: the text is not valid UTF-8 (byte 10)"),
        (b"[" * 100_000, "JSON: nested too deeply"),
    ],
)
def test_what_is_no_request_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(WireError) as caught:
        convert(text, lambda name: None)
    assert str(caught.value) == problem


def test_deep_nesting_and_half_characters_are_no_crash() -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = {"a": [deep]}
    made = converted(span({"type": "custom", "name": "\ud800", "data": deep}), span({"type": "agent", "name": "b"}))
    assert len(spans(made.payload)) + made.refused == 2
    assert spans(made.payload)[0].name in ("?", "invoke_agent b")


TEXTS = st.sampled_from(["", "x", "trace_" + "a" * 32, "\ud800", "gpt-4o", "1e999", "é" * 300, "trace", "trace.span"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=8)
    | TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | TEXTS, inner, max_size=4),
    max_leaves=12,
)
ITEMS: list[Any] = [span(each[0]) for each in TYPES] + [trace(group_id="g", metadata={"user_id": "u", "b3": "x"})]


@st.composite
def _spoilt(draw: st.DrawFn) -> Any:
    """An item that is right but for some members, at any depth, that are something else."""
    item = json.loads(json.dumps(draw(st.sampled_from(ITEMS))))
    for _ in range(draw(st.integers(0, 4))):
        place = item
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            place[key] = draw(JSON)
            break
    return item


@property_test
@given(st.lists(_spoilt() | JSON, max_size=6) | JSON, st.booleans(), st.integers(0, 10**6))
def test_whatever_comes_is_an_error_or_otlp(data: Any, wrapped: bool, cut: int) -> None:
    text = json.dumps({"data": data} if wrapped else data).encode()
    if cut % 7 == 0:
        text = text[: cut % (len(text) + 1)]
    try:
        made = convert(text, lambda trace: None, parent=PARENT if cut % 2 else None)
    except WireError as error:
        assert str(error)
        return
    assert look(made.payload).spans == len(spans(made.payload))
    assert bool(made.refused) <= bool(made.problem)
    if isinstance(data, list) and wrapped and cut % 7:
        told = sum(not (isinstance(item, dict) and item.get("object") == "trace") for item in data)
        assert told == len(spans(made.payload)) + made.refused

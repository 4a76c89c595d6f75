"""Random requests, and random conditions on what is in them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import condition_oracle

TEXTS = ["", "a", "b", "ab", "ba", "ß", "🙂x", "aab"]
NUMBERS = [0, 1, 2, 7, -1, 2**63 - 1, -(2**63)]
KEYS = ["a", "b", "http.route", "ß"]
LEAVES = st.one_of(
    st.sampled_from(TEXTS).map(lambda text: AnyValue(string_value=text)),
    st.sampled_from(NUMBERS).map(lambda number: AnyValue(int_value=number)),
    st.sampled_from([0.0, 1.0, 0.5, -7.25, float("nan"), float("inf"), 5e-324, 2.0**63]).map(
        lambda number: AnyValue(double_value=number)
    ),
    st.booleans().map(lambda truth: AnyValue(bool_value=truth)),
    st.just(AnyValue(bytes_value=b"a")),
    st.just(AnyValue()),
    st.just(AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="a"), KeyValue(key="b")]))),
)
VALUES = LEAVES | st.lists(LEAVES, max_size=3).map(lambda items: AnyValue(array_value=ArrayValue(values=items)))
CALL = KeyValue(key="gen_ai.operation.name", value=AnyValue(string_value="chat"))
MONEY = ["gen_ai.usage.cost", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"]
PAIRS = st.one_of(
    st.lists(st.builds(KeyValue, key=st.sampled_from(KEYS), value=VALUES), max_size=4),
    st.lists(st.builds(KeyValue, key=st.sampled_from(MONEY), value=VALUES), max_size=3).map(lambda said: [CALL, *said]),
)
TIMES = st.sampled_from([0, 1, 1_000_000_000, 1_050_000_000, 2**63 + 5, 2**64 - 1])
SPANS = st.builds(
    Span,
    trace_id=st.just(b"t" * 16),
    span_id=st.binary(min_size=8, max_size=8).filter(any),
    parent_span_id=st.sampled_from([b"", b"p" * 8]),
    name=st.sampled_from(TEXTS),
    kind=st.integers(0, 7),
    start_time_unix_nano=TIMES,
    end_time_unix_nano=TIMES,
    attributes=PAIRS,
    status=st.builds(Status, code=st.integers(0, 3), message=st.sampled_from(TEXTS)),
    events=st.lists(st.builds(Span.Event, name=st.sampled_from(TEXTS), attributes=PAIRS), max_size=2),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    message = ExportTraceServiceRequest()
    for spans in draw(st.lists(st.lists(st.lists(SPANS, max_size=4), max_size=3), max_size=3)):
        resource = message.resource_spans.add()
        resource.resource.attributes.extend(draw(PAIRS))
        for some in spans:
            scope = resource.scope_spans.add(schema_url=draw(st.sampled_from(["", "x"])))
            scope.spans.extend(some)
    return message.SerializeToString()


def quoted(text: str) -> str:
    return '"' + text + '"'


SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
EQUAL = st.sampled_from(["==", "!="])
FIXED = st.sampled_from(["0", "1", "0.5", "true", *map(quoted, TEXTS)])
PATTERNS = st.sampled_from(["^a", "b$", "^(a|ß)*$", "a.b|x", "[^a]", r"\d", "^$", "🙂.", "a{2}b"])
PATTERNS = PATTERNS.map(lambda text: text.replace("\\", "\\\\"))
DURATIONS = ["0s", "50ms", "1s50ms", "1h", "-50ms"]


def single(
    attributes_of: Sequence[str], texts: Sequence[str], durations: Sequence[str], of: str
) -> st.SearchStrategy[str]:
    """Conditions without logic: on attributes of some scopes, on some fields, and on the kind and status of `of`."""
    attributes = st.sampled_from([f"{scope}.attributes[{quoted(key)}]" for scope in attributes_of for key in KEYS])
    text = st.sampled_from([*texts, *map(quoted, TEXTS)]) | attributes
    sizes = [f"size({name})" for name in texts]
    number = st.sampled_from(["0", "1", "7", "-1", "0.5", "-7.25", "9223372036854775807", "1e300", *sizes])
    number = number | attributes | attributes.map("size({})".format)
    number = number | st.builds("{} {} {}".format, number, st.sampled_from("+-"), number)
    duration = st.sampled_from([*durations, *DURATIONS])
    duration = duration | st.builds("{} {} {}".format, duration, st.sampled_from("+-"), duration)
    return st.one_of(
        st.builds("{} {} {}".format, text, SIGNS, text),
        st.builds("{} {} {}".format, number, SIGNS, number),
        st.builds("{} {} {}".format, duration, SIGNS, duration),
        st.builds("{} == {}".format, attributes, st.sampled_from(["true", "false"])),
        st.builds(f'{of}.kind {{}} "{{}}"'.format, EQUAL, st.sampled_from(condition_oracle.KINDS)),
        st.builds(f'{of}.status {{}} "{{}}"'.format, EQUAL, st.sampled_from(condition_oracle.STATUSES)),
        st.builds("{} in [{}, {}]".format, attributes, FIXED, FIXED),
        st.builds("{} in {}".format, attributes | FIXED | st.sampled_from(texts), attributes),
        st.builds("{} in {}.attributes".format, st.sampled_from(KEYS).map(quoted), st.sampled_from(attributes_of)),
        st.builds("{}.{}({})".format, text, st.sampled_from(["startsWith", "endsWith", "contains"]), text),
        st.builds('{}.matches("{}")'.format, text, PATTERNS),
        st.sampled_from(["true", "false"]),
        attributes,
    )


def joined(tests: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Some of `tests`, with logic."""
    both = st.recursive(
        tests,
        lambda inner: (
            st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner) | inner.map("!({})".format)
        ),
        max_leaves=5,
    )
    return both.filter(lambda text: len(text) < 1000)


ON_SPANS = single(["span", "resource"], ["span.name", "span.status_message"], ["span.duration"], "span")
ON_SPANS = ON_SPANS | st.just("span.is_root") | st.builds("span.cost {} 0.5".format, SIGNS)
ON_EVENTS = single(["event", "span"], ["event.name", "span.name"], ["span.duration"], "span")
ON_ROOTS = single(["trace.root", "trace.root.resource"], ["trace.root.name"], ["trace.root.duration"], "trace.root")
ON_TRACES = st.one_of(
    st.builds('trace.status {} "{}"'.format, EQUAL, st.sampled_from(condition_oracle.STATUSES)),
    st.builds("trace.{} {} {}".format, st.sampled_from(["errors", "spans"]), SIGNS, st.integers(0, 4)),
    st.builds("trace.{} {} {}".format, st.sampled_from(["cost", "tokens"]), SIGNS, st.sampled_from(["0", "0.5", "1"])),
    st.builds("trace.duration {} {}".format, SIGNS, st.sampled_from(DURATIONS)),
    st.just('trace.priority == "critical"'),
    st.just("trace.detected"),
)
PLAIN = st.sampled_from(
    [
        'span.name == "a"',
        'span.status == "error"',
        'event.name == "a"',
        'event.name == "b"',
        'trace.root.name == "a"',
        'trace.root.status == "error"',
        "trace.errors > 0",
        "trace.spans > 1",
        "true",
        "false",
    ]
)
"""Each is true about half of the time of PLAIN_SPANS, so that it shows how they are joined."""
PLAIN_SPANS = st.lists(
    st.builds(
        Span,
        name=st.sampled_from("ab"),
        kind=st.sampled_from([Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER]),
        parent_span_id=st.sampled_from([b"", b"p" * 8, b"p" * 8]),
        status=st.builds(Status, code=st.sampled_from([0, 2])),
        events=st.lists(st.builds(Span.Event, name=st.sampled_from("ab")), max_size=2),
    ),
    min_size=1,
    max_size=4,
)
CONDITIONS = joined(ON_SPANS)
PLAIN_TRACE_CONDITIONS = joined(PLAIN)
TRACE_CONDITIONS = joined(ON_SPANS | ON_EVENTS | ON_ROOTS | ON_TRACES)

"""What is wrong with a request is said without a word of what it holds: that may be what must not be seen, and the
texts of refusals go to logs and to the senders'."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openai_items import body, span, trace
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.raised import raised
from tracekeeper_sidecar.receive import outcome
from tracekeeper_sidecar.receive.outcome import Refused
from tracekeeper_sidecar.receive.zipkin import Zipkin
from tracekeeper_sidecar.wire import openai_json, otlp_json, zipkin_json
from tracekeeper_sidecar.wire.converted import Converted
from tracekeeper_sidecar.wire.scan import look

SECRET = ("alice@", "4111111111111111", "hunter2")
PLANTED: tuple[Any, ...] = (
    "alice@example.com hunter2",
    "4111111111111111",
    4111111111111111,
    -4111111111111111,
    4111111111111111.5,
    41111111111111110000000000,
    True,
    ["alice@example.com", 4111111111111111],
    {"alice@example.com": "hunter2"},
)
OTLP = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "a", "value": {"stringValue": "b"}}], "droppedAttributesCount": 0},
            "schemaUrl": "x",
            "scopeSpans": [
                {
                    "scope": {"name": "n", "version": "v"},
                    "spans": [
                        {
                            "traceId": "a1" * 16,
                            "spanId": "b2" * 8,
                            "parentSpanId": "c3" * 8,
                            "traceState": "x=y",
                            "flags": 1,
                            "name": "n",
                            "kind": 2,
                            "startTimeUnixNano": "1",
                            "endTimeUnixNano": 2,
                            "attributes": [
                                {"key": "i", "value": {"intValue": "1"}},
                                {"key": "d", "value": {"doubleValue": 1.5}},
                                {"key": "t", "value": {"boolValue": True}},
                                {"key": "b", "value": {"bytesValue": "AAAA"}},
                                {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "x"}]}}},
                                {"key": "m", "value": {"kvlistValue": {"values": [{"key": "k", "value": {}}]}}},
                            ],
                            "events": [{"timeUnixNano": "1", "name": "e", "attributes": []}],
                            "links": [{"traceId": "a1" * 16, "spanId": "b2" * 8, "traceState": ""}],
                            "status": {"message": "m", "code": 1},
                        }
                    ],
                }
            ],
        }
    ]
}
ZIPKIN = [
    {
        "traceId": "a1" * 16,
        "id": "b2" * 8,
        "parentId": "c3" * 8,
        "name": "n",
        "kind": "CLIENT",
        "timestamp": 1,
        "duration": 2,
        "localEndpoint": {"serviceName": "s", "ipv4": "192.0.2.1", "port": 1},
        "remoteEndpoint": {"serviceName": "s"},
        "annotations": [{"timestamp": 1, "value": "v"}],
        "tags": {"a": "b", "error": "x"},
    }
]
OPENAI = json.loads(
    body(
        trace(metadata={"user_id": "u"}),
        span({"type": "generation", "model": "m", "input": [{"role": "user"}], "usage": {"input_tokens": 1}}),
        span({"type": "function", "name": "f", "input": "x"}, error={"message": "m", "data": {"a": 1}}),
    )
)


def otlp(written: bytes) -> str:
    try:
        look(otlp_json.json_to_protobuf(written))
    except WireError as error:
        return outcome.malformed(error).message
    return ""


def zipkin(written: bytes) -> str:
    return _said(Zipkin().guarded(zipkin_json.convert)(written))


def openai(written: bytes) -> str:
    return _said(Zipkin().guarded(lambda content: openai_json.convert(content, lambda name: None))(written))


def _said(made: Converted | Refused) -> str:
    return made.message if isinstance(made, Refused) else made.problem


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All of a value's parts, by the keys and indexes that lead there."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def put(value: Any, path: tuple[Any, ...], planted: Any) -> Any:
    """A copy of the value with `planted` at that place."""
    if not path:
        return planted
    made = copy.deepcopy(value)
    holder = made
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = planted
    return made


@pytest.mark.parametrize(
    ("convert", "good", "least"), [(otlp, OTLP, 150), (zipkin, ZIPKIN, 60), (openai, OPENAI, 50)], ids=lambda one: ""
)
def test_whatever_stands_in_whatever_place(convert: Callable[[bytes], str], good: Any, least: int) -> None:
    assert convert(json.dumps(good).encode()) == ""
    told = 0
    for path in places(good):
        for planted in PLANTED:
            text = convert(json.dumps(put(good, path, planted)).encode())
            told += bool(text)
            assert not [word for word in SECRET if word in text], (path, planted, text)
    assert told >= least, "most of these are refused with words"


@pytest.mark.parametrize("convert", [otlp, zipkin, openai])
@pytest.mark.parametrize(
    "written",
    [
        b'{"alice@example.com": "hunter2',
        b'[{"id": hunter2}]',
        b'"alice@example.com hunter2"',
        b"4111111111111111",
        b'{"a": "alice@example.com\x01"}',
        b'{"a": "alice@example.com\\q"}',
        b'{"a": "alice@example.com\xff"}',
        b"alice@example.com",
    ],
)
def test_what_is_no_json_at_all(convert: Callable[[bytes], str], written: bytes) -> None:
    text = convert(written)
    assert text and not [word for word in SECRET if word in text]


def test_a_fault_of_ours_is_logged_by_its_place(caplog: pytest.LogCaptureFixture) -> None:
    def fails(content: bytes) -> Converted:
        raise ValueError(f"not foreseen: {content!r}")

    made = Zipkin().guarded(fails)(b"hunter2")
    assert isinstance(made, Refused) and made.reason == "internal"
    [record] = caplog.records
    written = logging.Formatter().format(record)
    assert "ValueError in fails (test_refusals_repeat_nothing.py:" in written
    assert "hunter2" not in written


def test_what_was_raised_is_told_by_type_and_places() -> None:
    def inner(value: str) -> None:
        raise KeyError(value)

    def outer() -> None:
        inner("hunter2")

    def caught(behind: str = "") -> str:
        try:
            outer()
        except KeyError as error:
            return raised(error, behind)
        return ""

    assert caught().startswith("KeyError in inner (test_refusals_repeat_nothing.py:")
    assert [word.split(" ")[0] for word in caught().split(", called by ")] == ["KeyError", "outer", "caught"]
    assert ", called by outer (" in caught("caught") and "caught" not in caught("caught")
    assert "inner" in caught("inner"), "something is always said"
    assert raised(KeyError("hunter2")) == "KeyError"

"""What keys name where texts are no JSON: in JSON that commands and logs quote, and in Python's dictionaries."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from redaction_requests import empty, put, slow, wish
from tracekeeper_sidecar.process.redact.engine import Engine

FAST, SLOW = Engine(wish()), slow(wish())
QUOTED = {
    'curl -d "{\\"email\\":\\"hunter2\\"}" http://x': 'curl -d "{\\"email\\":\\"[REDACTED]\\"}" http://x',
    '{\\"email\\":\\"hunter2\\"} done': '{\\"email\\":\\"[REDACTED]\\"} done',
    'x {\\\\\\"email\\\\\\":\\\\\\"hunter2\\\\\\"}': 'x {\\\\\\"email\\\\\\":\\\\\\"[REDACTED]\\\\\\"}',
    '-d "[{\\"a\\":1}, {\\"ssn\\": \\"hunter2\\"}]" b': '-d "[{\\"a\\":1}, {\\"ssn\\": \\"[REDACTED]\\"}]" b',
    '{"a":1} and {\\"email\\":\\"hunter2\\", \\"b\\": [1]} "c": {"password":"hunter2"}': (
        '{"a":1} and {\\"email\\":\\"[REDACTED]\\", \\"b\\": [1]} "c": {"password":"[REDACTED]"}'
    ),
    'msg="{\\"password\\":\\"hunter2': 'msg="{\\"password\\":\\"[REDACTED]',
}
PYTHON = {
    "{'email': 'hunter2', 'n': None}": "{'email': '[REDACTED]', 'n': None}",
    "got {'a': {'ssn': [1, 'hunter2'], 'x': 2}} end": "got {'a': {'ssn': '[REDACTED]', 'x': 2}} end",
    "{'home_address': \"it's hunter2\"}": "{'home_address': \"[REDACTED]\"}",
    "{'email': 12345, 'password': (1, 'hunter2'), 'ssn': None}": (
        "{'email': '[REDACTED]', 'password': '[REDACTED]', 'ssn': None}"
    ),
    "{'email': b'hunter2', 'phone': True}": "{'email': b'[REDACTED]', 'phone': True}",
    "{'email': 'a@b.example'}": "{'email': '[REDACTED]'}",
    "{'email': 'a@b.example is hunter2'}": "{'email': '[REDACTED]'}",
    "[{'said': 'a@b.example', 'n': 1}]": "[{'said': '[REDACTED]', 'n': 1}]",
    "[{\"it's\": 1, 'email': 'hunter2'}]": "[{\"it's\": 1, 'email': '[REDACTED]'}]",
    "x={'z': [1, 2], 'email': 'q\"hunter2'}, y={'z': [1], 'email': 'q\"hunter2'}": (
        "x={'z': [1, 2], 'email': '[REDACTED]'}, y={'z': [1], 'email': '[REDACTED]'}"
    ),
    "{'password': 'hunter2": "{'password': '[REDACTED]",
    "{'password': {'x': 'hunter2'": "{'password': '[REDACTED]'",
    "it's {'name': 'x'} and don't": "it's {'name': 'x'} and don't",
}


def redacted(text: str) -> str:
    made = empty(1)
    put(made, 0, text)
    body = made.SerializeToString()
    outcome = FAST.redact(body)
    assert outcome.body == SLOW.redact(body).body
    assert FAST.redact(outcome.body).body == outcome.body, "what was redacted is redacted again"
    found = ExportTraceServiceRequest.FromString(outcome.body).resource_spans[0].scope_spans[0].spans[0]
    return found.attributes[-1].value.string_value


@pytest.mark.parametrize("text", [*QUOTED, *PYTHON])
def test_only_what_the_key_names_is_hidden(text: str) -> None:
    assert redacted(text) == {**QUOTED, **PYTHON}[text]


@pytest.mark.parametrize("text", PYTHON)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_in_json_too(text: str, depth: int) -> None:
    written = text
    for _ in range(depth):
        written = json.dumps({"said": written})
    found = redacted(written)
    for _ in range(depth):
        found = json.loads(found)["said"]
    assert found == PYTHON[text]


@pytest.mark.parametrize(
    "text",
    [
        '{\\"a\\":1} "' * 1_000,
        "{'a':" * 10_000,
        "{'email':" * 10_000,
        "{'email':{'a':1}, " * 2_000,
        "{" + "\\" * 4_000 + '"',
        '["' + "{'a': " * 10_000,
        '["\'",' * 10_000,
    ],
)
def test_however_many_there_are_it_takes_time_that_grows_with_them(text: str) -> None:
    made = empty(1)
    put(made, 0, text + "{'password': 'hunter2'}")
    outcome = FAST.redact(made.SerializeToString())
    assert not outcome.gone
    assert b"hunter2" not in outcome.body

"""Prompts and answers as a whole: kept, blanked with their form, or removed, in every dialect."""

from __future__ import annotations

import json

import pytest

from redaction_requests import empty, wish
from tracekeeper_sidecar.process.redact.content import BEGINNINGS, KEYS, blanked
from tracekeeper_sidecar.process.redact.engine import Engine

SAID = "the moon is made of cheese"
MESSAGES = [
    {"role": "user", "parts": [{"type": "text", "content": SAID}]},
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": SAID},
            {"type": "tool_call", "id": "call_1", "name": "search", "arguments": {"secretly": SAID, "n": 4711}},
        ],
        "finish_reason": "tool_call",
    },
]
REDACTING, DROPPING = Engine(wish(messageContent="Redact")), Engine(wish(messageContent="Drop"))


def body(key: str, text: str, event: bool = False) -> bytes:
    request = empty(1)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    holder = span.events.add(name="gen_ai.user.message") if event else span
    holder.attributes.add(key=key).value.string_value = text
    return request.SerializeToString()


@pytest.mark.parametrize("key", [*sorted(KEYS), *(each + b"0.content" for each in BEGINNINGS)])
def test_what_was_said_is_blanked_or_removed_whatever_the_dialect(key: bytes) -> None:
    given = body(key.decode(), SAID)
    assert SAID.encode() not in REDACTING.redact(given).body
    assert key in REDACTING.redact(given).body
    assert key not in DROPPING.redact(given).body
    assert Engine(wish()).redact(given).body is given


def test_messages_keep_their_form() -> None:
    outcome = REDACTING.redact(body("gen_ai.input.messages", json.dumps(MESSAGES)))
    text = outcome.body[outcome.body.index(b"[{") : outcome.body.index(b"}]", outcome.body.index(b"finish_reason")) + 2]
    said = json.loads(text)
    assert [message["role"] for message in said] == ["user", "assistant"]
    assert said[1]["finish_reason"] == "tool_call"
    assert [part["type"] for part in said[1]["parts"]] == ["reasoning", "tool_call"]
    assert said[1]["parts"][1]["name"] == "search"
    assert said[1]["parts"][1]["arguments"] == {"secretly": "[REDACTED]", "n": "[REDACTED]"}
    assert SAID.encode() not in outcome.body
    assert REDACTING.redact(outcome.body).body == outcome.body


def test_whoever_spoke_stays_where_keys_have_an_index() -> None:
    role = body("llm.input_messages.0.message.role", "user")
    assert REDACTING.redact(role).body == role
    hidden = REDACTING.redact(body("llm.input_messages.0.message.role", SAID)).body
    assert SAID.encode() not in hidden


def test_the_content_of_events_is_content_and_of_spans_it_is_an_attribute() -> None:
    assert SAID.encode() not in REDACTING.redact(body("content", SAID, event=True)).body
    assert SAID.encode() in REDACTING.redact(body("content", SAID)).body


def test_structured_values_are_blanked_too() -> None:
    request = empty(1)
    value = request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="gen_ai.output.messages").value
    message = value.array_value.values.add().kvlist_value
    message.values.add(key="role").value.string_value = "user"
    message.values.add(key="content").value.string_value = SAID
    message.values.add(key="n").value.int_value = 4711
    message.values.add(key=SAID).value.bytes_value = SAID.encode()
    outcome = REDACTING.redact(request.SerializeToString())
    assert SAID.encode() not in outcome.body
    assert b"role" in outcome.body
    assert b"user" in outcome.body


def test_json_that_is_cut_off_is_blanked_whole() -> None:
    assert b"cheese" not in REDACTING.redact(body("input.value", '{"a": "cheese", "b')).body


def test_an_id_is_one_word_whatever_is_beside_it() -> None:
    said = (
        b'[{"role":"user","parts":[{"type":"text","id":"Ada has cancer","content":"hello","index":4111111111111111}]}]'
    )
    hidden = blanked(said, b"[REDACTED]")
    for text in (b"Ada", b"hello", b"4111"):
        assert text not in hidden


def test_large_json_is_blanked_whole() -> None:
    for said in (b"[" + b"[]," * 30_000 + b"1]", b'["' + b"x" * (1 << 20) + b'"]'):
        assert blanked(said, b"[REDACTED]") == b"[REDACTED]"
    assert blanked(b"[" + b'"x",' * 10_000 + b"1]", b"-") == b"[" + b'"-",' * 10_000 + b'"-"]'

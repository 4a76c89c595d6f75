"""The pass over raw bytes finds at least what the exact matcher finds: with it and without, redaction does the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction_requests import HIDDEN_BY_KEY, KEYS, OWN, PLACES, SECRETS, empty, put, raw_texts, slow, texts, wish
from tracekeeper_sidecar.process.redact.engine import Engine
from tracekeeper_sidecar.process.redact.prefilter import NOTHING
from tracekeeper_sidecar.wire.scan import look

pytestmark = pytest.mark.usefixtures("time_enough")

WISH = wish(**OWN)
FAST, SLOW = Engine(WISH), slow(WISH)
EXAMPLES = settings(max_examples=300, deadline=None)


def test_it_runs_here() -> None:
    assert FAST.prefilter.problem == ""
    body = empty().SerializeToString()
    assert FAST.prefilter.suspect(body)[0] == NOTHING.hits
    assert FAST.redact(body).body is body


@EXAMPLES
@given(st.lists(st.tuples(st.integers(0, PLACES - 1), raw_texts), min_size=1, max_size=4))
def test_with_it_and_without_the_outcome_is_the_same(said: list[tuple[int, str]]) -> None:
    request = empty()
    for place, text in said:
        put(request, place, text)
    body = request.SerializeToString()
    fast, slowly = FAST.redact(body), SLOW.redact(body)
    assert fast.body == slowly.body
    assert fast.values == slowly.values
    assert look(fast.body).spans == 2


@EXAMPLES
@given(st.integers(0, PLACES - 1), texts())
def test_no_secret_is_left_wherever_and_however_it_is_written(place: int, written: tuple[str, str]) -> None:
    secret, text = written
    request = empty()
    put(request, place, text)
    body = request.SerializeToString()
    outcome = FAST.redact(body)
    assert outcome.values
    assert secret.encode() not in outcome.body
    again = FAST.redact(outcome.body)
    assert again.body == outcome.body, "what was redacted is redacted again"
    assert not again.values
    untouched = request.resource_spans[0].scope_spans[0].spans[1].SerializeToString()
    assert untouched in outcome.body


@EXAMPLES
@given(st.sampled_from(SECRETS), st.binary(max_size=6), st.binary(max_size=6))
def test_whatever_bytes_are_around(secret: str, before: bytes, after: bytes) -> None:
    request = empty()
    request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="b").value.bytes_value = (
        before + b" " + secret.encode() + b" " + after
    )
    outcome = FAST.redact(request.SerializeToString())
    assert secret.encode() not in outcome.body
    assert outcome.body == SLOW.redact(request.SerializeToString()).body


@EXAMPLES
@given(st.sampled_from(KEYS), st.integers(0, 3), st.sampled_from(("attribute", "list", "json")))
def test_what_a_key_names_is_hidden(key: str, depth: int, where: str) -> None:
    request = empty()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    if where == "attribute":
        span.attributes.add(key=key).value.string_value = HIDDEN_BY_KEY
    elif where == "list":
        value = span.attributes.add(key="x").value
        for _ in range(depth):
            value = value.kvlist_value.values.add(key="y").value
        value.kvlist_value.values.add(key=key).value.string_value = HIDDEN_BY_KEY
    else:
        text = json.dumps({key: HIDDEN_BY_KEY, "else": 1})
        for _ in range(depth):
            text = json.dumps({"inner": text})
        span.attributes.add(key="x").value.string_value = text
    body = request.SerializeToString()
    assert HIDDEN_BY_KEY.encode() not in FAST.redact(body).body
    assert FAST.redact(body).body == SLOW.redact(body).body


PIECES = ("password", "x", '"', "\\", "'", ":", " ", "\n", "\t", "\x0b", "\u00e9", "{", ",", '\\"')


@EXAMPLES
@given(st.lists(st.sampled_from(PIECES), max_size=5), st.integers(0, 3), st.sampled_from(("", " ", "\n", "\x0b")))
def test_a_key_with_anything_in_it_is_seen_in_json_however_deep(pieces: list[str], depth: int, space: str) -> None:
    key = "".join(pieces[:2]) + "password" + "".join(pieces[2:])
    text = json.dumps(key) + space + ":" + json.dumps(HIDDEN_BY_KEY)
    text = "{" + text + ', "else": 1}'
    for _ in range(depth):
        text = json.dumps({"inner": text})
    request = empty()
    put(request, 0, text)
    body = request.SerializeToString()
    assert HIDDEN_BY_KEY.encode() not in FAST.redact(body).body
    assert FAST.redact(body).body == SLOW.redact(body).body


@pytest.mark.parametrize("depth", range(5))
def test_a_key_with_quotes_or_controls_in_it_is_seen(depth: int) -> None:
    for key in (
        'password"x',
        '"password"',
        'a"password"b"c',
        "password\\",
        'password\\"',
        "password\tz",
        "it's password's",
    ):
        text = json.dumps({key: HIDDEN_BY_KEY})
        for _ in range(depth):
            text = json.dumps([text])
        request = empty()
        put(request, 0, text)
        assert HIDDEN_BY_KEY.encode() not in FAST.redact(request.SerializeToString()).body, key


def test_spaces_before_a_colon_may_be_escaped() -> None:
    for space in ("\\n", "\\u000b", "\\u0020", "\\f"):
        request = empty()
        put(request, 0, '{"a": "{\\"password\\"' + space + ': \\"' + HIDDEN_BY_KEY + '\\"}"}')
        assert HIDDEN_BY_KEY.encode() not in FAST.redact(request.SerializeToString()).body


@pytest.mark.parametrize("text", ['"07\\8-05-1120', '"}(212)\\ 555-1234', '"acc\\ess_key"', '{"a":"0170 \\/1234567"}'])
def test_escapes_that_do_not_exist_are_none(text: str) -> None:
    request = empty()
    put(request, 0, text)
    body = request.SerializeToString()
    assert FAST.redact(body).body == SLOW.redact(body).body

"""The step: what it counts, what it refuses, what it takes over, and what it does when it cannot."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from redaction_requests import empty, put, slow, wish
from tracekeeper_sidecar.errors import StepUnavailable
from tracekeeper_sidecar.process.build import Means
from tracekeeper_sidecar.process.redact import engine as engines
from tracekeeper_sidecar.process.redact import make, metrics
from tracekeeper_sidecar.process.redact.engine import Engine
from tracekeeper_sidecar.process.redact.step import REASON, Redacting
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire.redact import Edit
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.splice import places, splice
from tracekeeper_sidecar.wire.varint import delimited
from tracekeeper_spec.processor import Processor, ProcessorType
from tracekeeper_spec.secrets import DocumentSecrets

HASHED = {"action": "Hash", "hashKey": {"secretKeyRef": {"name": "redaction", "key": "hash"}}}


GOOD_KEY = b"0123456789abcdef"


def step(secrets: dict[str, dict[str, bytes]] | None = None, **written: Any) -> Redacting:
    processor = Processor("redact", ProcessorType.REDACT, redact=wish(**written))
    made = make(processor, Means(secrets=DocumentSecrets(secrets or {})))
    assert isinstance(made, Redacting)
    return made


def request(*said: tuple[int, str], spans: int = 2) -> Request:
    made = empty(spans)
    for place, text in said:
        put(made, place, text)
    return Request(made.SerializeToString(), spans)


def shown(of: Redacting) -> dict[tuple[str, ...], float]:
    return {(sample.metric.name, *sample.labels): sample.value for sample in of.samples()}


def test_what_has_nothing_in_it_stays_the_same_object() -> None:
    given = request()
    before = given.body
    step().run(given)
    assert given.body is before


def test_values_and_spans_are_counted_by_what_has_found_them() -> None:
    made = step()
    made.run(request((0, "mail a@example.com or b@example.com"), (5, "call +49 30 12345678")))
    assert shown(made)[metrics.VALUES.name, "redact", "Email", "Mask"] == 2
    assert shown(made)[metrics.VALUES.name, "redact", "Phone", "Mask"] == 1
    assert shown(made)[metrics.SPANS.name, "redact"] == 1
    assert shown(made)[metrics.FAST.name, "redact"] == 1
    newer = step()
    newer.keep(made)
    assert shown(newer) == shown(made)


def test_a_span_that_cannot_be_redacted_is_refused_and_the_rest_goes_on() -> None:
    nested = '"a@example.com"'
    for _ in range(14):
        nested = '["' + nested.replace("\\", "\\\\").replace('"', '\\"') + '"]'
    given = request((0, nested), spans=3)
    step().run(given)
    assert given.spans == look(given.body).spans == 2
    assert given.refused == {REASON: 1}
    assert "attributes" in given.problem
    assert b"example.com" not in given.body


def test_where_a_resource_cannot_be_redacted_all_of_its_spans_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MOST_SECONDS", -1.0)
    given = request((14, "a@example.com"), spans=3)
    step().run(given)
    assert given.spans == look(given.body).spans == 0
    assert given.refused == {REASON: 3}


def test_without_a_good_key_for_hashes_nothing_is_stored_and_senders_come_again() -> None:
    for secrets in ({}, {"redaction": {"other": b"x"}}, {"redaction": {"hash": b""}}, {"redaction": {"hash": b" k\n"}}):
        made = step(secrets, **HASHED)
        given = request()
        with pytest.raises(StepUnavailable, match="redaction"):
            made.run(given)
        assert made.fails_closed
        assert "redaction" in "".join(made.problems())
    made = step({"redaction": {"hash": GOOD_KEY}}, **HASHED)
    assert not list(made.problems())


def test_the_same_value_has_the_same_hash_and_another_key_another() -> None:
    bodies = []
    for key in (GOOD_KEY, GOOD_KEY, GOOD_KEY[::-1]):
        given = request((0, "a@example.com"), (5, "to a@example.com"))
        step({"redaction": {"hash": key}}, **HASHED).run(given)
        assert b"a@example.com" not in given.body
        at = given.body.index(b"[sha256:")
        assert given.body.count(given.body[at : at + 25]) == 2
        bodies.append(given.body)
    assert bodies[0] == bodies[1] != bodies[2]


def test_drop_takes_the_attribute_and_leaves_the_rest() -> None:
    given = request((0, "a@example.com"), (3, "b@example.com"), (4, "c@example.com"), (17, "d@example.com"))
    step(action="Drop").run(given)
    assert b"example.com" not in given.body
    assert b"said" not in given.body
    assert b"[REDACTED]" in given.body, "a span must have some name"
    assert b"server.address" in given.body


def test_fields_that_nobody_knows_go_where_something_is_in_them() -> None:
    harmless, harmful = delimited(77, b"harmless"), delimited(78, b"a@example.com")
    by_key = delimited(79, b"\x0a\x08password\x12\x05\x0a\x03abc")
    body = empty(1).SerializeToString() + harmless + harmful + by_key
    given = Request(body, 1)
    step().run(given)
    assert given.body == empty(1).SerializeToString() + harmless


def test_an_id_of_a_link_that_is_none_is_not_a_hiding_place() -> None:
    made = empty(1)
    made.resource_spans[0].scope_spans[0].spans[0].links.add(trace_id=b"mail to a@example.com", span_id=b"2" * 8)
    given = Request(made.SerializeToString(), 1)
    step().run(given)
    assert b"example" not in given.body


def test_of_two_keys_or_values_in_one_attribute_none_hides_the_other() -> None:
    twice = (
        delimited(1, b"first")
        + delimited(1, b"second")
        + delimited(2, delimited(1, b"a@example.com") + delimited(1, b"x"))
    )
    span = empty(1).resource_spans[0].scope_spans[0].spans[0].SerializeToString() + delimited(9, twice)
    given = Request(delimited(1, delimited(2, delimited(2, span))), 1)
    step().run(given)
    assert b"example" not in given.body
    look(given.body)


def test_without_hyperscan_it_does_the_same_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = request((0, "a@example.com"), (5, '{"password":"x"}'))
    slowly = request((0, "a@example.com"), (5, '{"password":"x"}'))
    step().run(quick)
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    made = step(names=["nobody has this one"])
    made.run(slowly)
    assert slowly.body == quick.body != request((0, "a@example.com"), (5, '{"password":"x"}')).body
    assert "Hyperscan" in "".join(made.problems())
    assert shown(made)[metrics.FAST.name, "redact"] == 0


def test_a_pattern_that_the_pass_cannot_have_is_looked_for_all_the_same() -> None:
    made = step(patterns=[{"name": "odd", "pattern": r"\Qa.b\E"}])
    given = request((0, "see a.b here"))
    made.run(given)
    assert b"a.b" not in given.body
    assert "odd" in "".join(made.problems())


def test_too_many_hits_are_one_look_at_everything() -> None:
    text = "a@b. " * 20_000 + "x@example.com"
    made = empty(1)
    put(made, 0, text)
    body = made.SerializeToString()
    wanted = wish()
    assert Engine(wanted).prefilter.suspect(body).every
    assert Engine(wanted).redact(body).body == slow(wanted).redact(body).body
    assert b"example" not in Engine(wanted).redact(body).body


def test_a_key_in_a_list_is_judged_however_the_list_is_written() -> None:
    inner = KeyValue(key="password", value=AnyValue(string_value="hunter2")).SerializeToString()
    listed = delimited(6, delimited(1, inner))
    for value in (delimited(1, b"") + listed, delimited(15, b"new") + listed, b"\xb2\x00" + listed[1:]):
        made = empty(1)
        attribute = delimited(9, delimited(1, b"x") + delimited(2, value))
        place = places(made.SerializeToString())[0]
        body = made.SerializeToString()
        body = splice(body, [(place.span, place.span_end, body[place.span : place.span_end] + attribute)])
        assert look(body).spans == 1
        assert b"hunter2" not in Engine(wish()).redact(body).body


def test_a_pattern_of_ones_own_may_have_any_name() -> None:
    for name in ("key", "names", "trap"):
        found = wish(keyPatterns=[], patterns=[{"name": name, "pattern": "PAT-[0-9]{4}"}])
        made = empty(1)
        put(made, 0, "PAT-1234")
        assert b"PAT-1234" not in Engine(found).redact(made.SerializeToString()).body


def test_many_strings_in_one_text_take_time_that_grows_with_it() -> None:
    text = json.dumps([""] * 200_000 + ["ada@example.com"] * 9_000)
    made = empty(1)
    put(made, 0, text)
    found = Engine(wish()).redact(made.SerializeToString())
    assert b"ada@" not in found.body


def test_many_keys_take_no_longer_than_a_request_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MOST_SECONDS", -1.0)
    made = empty(3)
    for number in range(40):
        made.resource_spans[0].scope_spans[0].spans[1].attributes.add(key=f"email.of.{number}").value.int_value = 1
    given = Request(made.SerializeToString(), 3)
    step(detectors=[]).run(given)
    assert (given.spans, given.body, given.refused) == (0, b"", {REASON: 3})
    assert "keys" in given.problem


def test_a_field_that_nobody_owns_goes_alone_where_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MOST_SECONDS", -1.0)
    body = empty(2).SerializeToString()
    given = Request(delimited(77, b"a@example.com") + body, 2)
    step().run(given)
    assert given.body == body
    assert not given.refused


def test_what_goes_and_what_changes_is_put_together_in_one_turn() -> None:
    edits: list[Edit] = [(at, at + 2, b"x") for at in range(0, 40_000, 4)]
    gone = {(at, at + 4) for at in range(20_000, 40_000, 4)} | {(20_000, 20_400)}
    found = engines._without(edits, gone)
    assert found[:5_000] == edits[:5_000]
    assert found[5_000] == (20_000, 20_400, None)
    assert found[5_001:] == [(at, at + 4, None) for at in range(20_400, 40_000, 4)]


def test_an_attribute_and_a_text_of_the_same_bytes_are_two_things() -> None:
    attribute = KeyValue(key="password", value=AnyValue(string_value="hunter2"))
    made = empty(1)
    span = made.resource_spans[0].scope_spans[0].spans[0]
    span.name = attribute.SerializeToString().decode()
    span.attributes.append(attribute)
    outcome = slow(wish()).redact(made.SerializeToString())
    assert b"hunter2" not in outcome.body.split(span.name.encode(), 1)[1]


def test_a_value_in_many_pieces_takes_time_that_grows_with_it() -> None:
    pieces = (
        delimited(1, b"x") + delimited(2, delimited(1, b"a")) * 50_000 + delimited(2, delimited(1, b"a@example.com"))
    )
    span = empty(1).resource_spans[0].scope_spans[0].spans[0].SerializeToString() + delimited(9, pieces)
    given = Request(delimited(1, delimited(2, delimited(2, span))), 1)
    step().run(given)
    assert b"example.com" not in given.body


def test_two_booleans_do_not_hide_a_text_behind_them() -> None:
    for value in (b"\x10\x01\x10\x01" + delimited(1, b"hunter2"), delimited(1, b"") * 2 + delimited(1, b"hunter2")):
        span = empty(1).resource_spans[0].scope_spans[0].spans[0].SerializeToString()
        span += delimited(9, delimited(1, b"password") + delimited(2, value))
        given = Request(delimited(1, delimited(2, delimited(2, span))), 1)
        step().run(given)
        assert b"hunter2" not in given.body


def test_many_small_lists_in_lists_take_no_longer_than_a_request_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(engines, "SECONDS_PER_BYTE", 0.0)
    made = empty(2)
    value = made.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="rows").value
    for row in range(50):
        rows = value.array_value.values.add().array_value
        for column in range(50):
            rows.values.add().string_value = f"a{row}@b{column}.co"
    engine = Engine(wish())
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "thread_time", lambda: 0.0 if next(clock) < 3 else 1.0)
    assert engine.redact(made.SerializeToString()).gone == 1
    assert next(clock) < 50, "it has looked at the clock on the way"


@pytest.mark.parametrize(("seconds", "gone"), [(0.7, 0), (0.9, 1)])
def test_a_request_of_75_kb_may_take_more_than_half_a_second(
    seconds: float, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = empty(1)
    value = made.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="rows").value
    for row in range(5_000):
        value.array_value.values.add().string_value = f"a{row:05}@b.co"
    body = made.SerializeToString()
    assert 75_000 < len(body) < 100_000
    engine = Engine(wish())
    clock = iter([0.0])
    monkeypatch.setattr(time, "thread_time", lambda: next(clock, seconds))
    assert engine.redact(body).gone == gone


def test_a_text_has_its_own_time() -> None:
    engine = Engine(wish(patterns=[{"name": "own", "pattern": "EMP-[0-9]{6}"}]))
    engine._matcher.until = 0.0
    assert engine.text(b"see EMP-123456") == b"see [REDACTED]"


def test_a_policy_that_says_the_same_of_redaction_compiles_nothing_anew() -> None:
    names = ["Ada Lovelace"]
    first, second = step(names=names), step(names=names)
    assert first._engine is second._engine
    assert step(names=["Ada"])._engine is not first._engine
    hashed = [step({"redaction": {"hash": key}}, **HASHED)._engine for key in (GOOD_KEY, GOOD_KEY[::-1], GOOD_KEY)]
    assert hashed[0] is hashed[2] is not hashed[1]


@pytest.mark.parametrize("key", ["credit_card", "creditCard", "credit-card", "user.credit card", "CREDITCARD_NO"])
def test_a_key_may_join_its_words_as_it_likes(key: str) -> None:
    made = empty(1)
    made.resource_spans[0].scope_spans[0].spans[0].attributes.add(key=key).value.string_value = "hunter2"
    assert b"hunter2" not in Engine(wish()).redact(made.SerializeToString()).body


def test_what_has_failed_is_told_without_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("hunter2")

    made = step()
    monkeypatch.setattr(Engine, "part", fail)
    given = request((0, "a@example.com"))
    made.run(given)
    assert "ValueError in fail" in given.problem and "hunter2" not in given.problem

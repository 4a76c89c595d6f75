"""Requests with things in them that nobody may read, for tests of redaction: where, in which writing, beside what."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracekeeper_sidecar.process.redact import engine, prefilter
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.redact import Redact
from tracekeeper_spec.redact_fields import REDACT
from tracekeeper_spec.walk import read

SECRETS = (
    "anna.lindqvist@posteo.example.net",
    "o'neil+x@mail.example.co.uk",
    "jos\u00e9@ex\u00e4mple.de",
    "+49 30 12345678",
    "+1 (202) 555-0143",
    "+33\u00a06\u00a012\u00a034\u00a056\u00a078",
    "(202) 555-0143",
    "0171/1234567",
    "0171 /1234567",
    "01 23 45 67 89",
    "4111 1111 1111 1111",
    "5500-0000-0000-0004",
    "378282246310005",
    "536-22-8726",
    "536\u201122\u20118726",
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "198.51.100.23",
    "2001:db8:85a3::8a2e:370:7334",
    "::ffff:c000:280",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "sk-" + "proj-" + "a1B2c3D4" * 5,
    "ghp_" + "x9Yz8Wv7Ut6S" * 3,
    "AKIA" + "Q7RZ2MX4LD9TW3KB",
    "Zo\u00eb Kr\u00fcger",
    "emp-004711",
)
"""One of each kind; those of the config below, too."""

KEYS = ("password", "user.Email", "home_address", "my phone")
HIDDEN_BY_KEY = "nothing to see in these words"


def wish(**written: Any) -> Redact:
    """The section of a config, which has no faults."""
    faults: list[Fault] = []
    found = read(REDACT, written, "redact", faults)
    assert not faults, faults
    assert isinstance(found, Redact)
    return found


OWN = {
    "names": ["Zo\u00eb Kr\u00fcger", "Ada Lovelace"],
    "patterns": [{"name": "staff", "pattern": r"(?i)\bemp-\d{6}\b"}, {"name": "quoted", "pattern": r"<<[^<>]{1,40}>>"}],
}


def slow(wanted: Redact, hash_key: bytes | None = None) -> engine.Engine:
    """An engine to which everything is suspicious."""
    made = engine.Engine(wanted, hash_key)

    class Blind(prefilter.Prefilter):
        def suspect(self, body: bytes) -> prefilter.Suspicion:
            return prefilter.EVERYTHING

    made.prefilter = Blind(wanted)
    return made


def escaped(text: str, choose: random.Random, ascii_only: bool) -> str:
    """`text` as a string of JSON, as some writer might have it."""
    made = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    if choose.random() < 0.5:
        made = made.replace("/", "\\/")
    if choose.random() < 0.3:
        at = choose.randrange(len(text)) if text else 0
        sign = text[at : at + 1]
        if sign.isascii() and sign.isprintable() and sign not in '"\\/':
            made = json.dumps(text[:at])[1:-1] + f"\\u{ord(sign):04x}" + json.dumps(text[at + 1 :])[1:-1]
    return '"' + made + '"'


def wrapped(text: str, depth: int, choose: random.Random) -> str:
    """`text` within JSON within JSON."""
    for _ in range(depth):
        inner = escaped(text, choose, choose.random() < 0.5)
        text = choose.choice(
            (
                f'{{"a": {inner}, "b": 1}}',
                f"[{inner}]",
                f'[1, {{"x":{inner}}}]',
                f'see {{"a":{inner}}}',
                inner,
                f'{{"k":{inner}',
            )
        )
    return text


neighbours = st.text(alphabet=st.sampled_from(list('ab1 Z-._\n"\\/:,{}[]@+(\u00e9\u4e2d\U0001f600')), max_size=12)
seeds = st.integers(0, 2**32)


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, str]:
    """A secret, and a text that it is in, alone between spaces, in some writing."""
    secret = draw(st.sampled_from(SECRETS))
    choose = random.Random(draw(seeds))
    before, after = draw(neighbours), draw(neighbours)
    return secret, wrapped(f"{before} {secret} {after}", draw(st.integers(0, 3)), choose)


_SIGNS = (
    '{"',
    '":"',
    '"}',
    "\\",
    "\\u0040",
    '{\\"',
    '\\":\\"',
    '\\"}',
    "{'",
    "': '",
    "'}",
    ", '",
    '"',
    "/",
    "\\/",
    "-",
)
raw_texts = st.one_of(
    texts().map(lambda pair: pair[1]),
    st.text(alphabet=st.sampled_from(list('0123456789 -./()+@:abefABE\\u{}"[],%\u00a0\u2011\u00e9')), max_size=60),
    st.lists(st.sampled_from((*SECRETS, *_SIGNS, " ", "4", "email", "password", "x")), max_size=8).map("".join),
)
"""Texts, with or without something in them, of which nothing is known."""


def put(request: ExportTraceServiceRequest, place: int, text: str) -> None:
    """Puts `text` into one of PLACES places of the request."""
    resource = request.resource_spans[0]
    scope = resource.scope_spans[0]
    span = scope.spans[0]
    if place == 0:
        span.attributes.add(key="said").value.string_value = text
    elif place == 1:
        span.attributes.add(key="said").value.bytes_value = text.encode()
    elif place == 2:
        span.attributes.add(key="list").value.array_value.values.add().string_value = text
    elif place == 3:
        inner = span.attributes.add(key="map").value.kvlist_value.values.add(key="inner")
        inner.value.array_value.values.add().kvlist_value.values.add(key="deep").value.string_value = text
    elif place == 4:
        span.name = text
    elif place == 5:
        span.status.message = text
    elif place == 6:
        span.trace_state = text
    elif place == 7:
        span.events.add(name=text)
    elif place == 8:
        span.events.add(name="e").attributes.add(key="exception.message").value.string_value = text
    elif place == 9:
        span.links.add(trace_id=b"1" * 16, span_id=b"2" * 8).attributes.add(key="why").value.string_value = text
    elif place == 10:
        span.links.add(trace_id=b"1" * 16, span_id=b"2" * 8, trace_state=text)
    elif place == 11:
        scope.scope.name = text
    elif place == 12:
        scope.scope.version = text
    elif place == 13:
        scope.scope.attributes.add(key="scope.attribute").value.string_value = text
    elif place == 14:
        resource.resource.attributes.add(key="resource.attribute").value.string_value = text
    elif place == 15:
        resource.schema_url = text
    elif place == 16:
        scope.schema_url = text
    elif place == 17:
        span.attributes.add(key=text).value.int_value = 1
    elif place == 18:
        span.attributes.add(key="map").value.kvlist_value.values.add(key=text)
    elif place == 19:
        resource.resource.entity_refs.add(type=text, id_keys=[text], schema_url=text)
    else:
        raise ValueError(place)


PLACES = 20


def empty(spans: int = 2) -> ExportTraceServiceRequest:
    """A request with nothing in it to hide."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(spans):
        span = scope.spans.add(trace_id=b"t" * 16, span_id=b"s%07d" % number, name="chat", kind=3)
        span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
        span.attributes.add(key="server.address").value.string_value = "models.internal"
    return request

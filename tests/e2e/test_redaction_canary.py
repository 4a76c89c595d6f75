"""Canaries in every field that OTLP has, by every way in: none is on disk, on the wire, in metrics, in logs or in
answers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kept_wire import Wire
from redaction_requests import OWN, PLACES, empty, put
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

CARD, IBAN, PHONE, SSN = "4012 8888 8888 1881", "FR14 2004 1010 0505 0001 3M02 606", "+49 89 636 48018", "457-55-5462"
KEY = "sk-" + "proj-" + "c4N4rY" * 8
BY_KEY = "correct horse battery staple"
NAMED = "Zo\u00eb Kr\u00fcger"
STAFF = "emp-471147"
VALUES = (CARD, IBAN, PHONE, SSN, KEY, NAMED, STAFF)
LABELS = (
    "gen_ai.agent.name",
    "gen_ai.tool.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.provider.name",
    "gen_ai.conversation.id",
    "gen_ai.workflow.name",
    "user.id",
    "error.type",
    "tracekeeper.project",
)
"""What becomes labels, exemplars and groups of budgets."""


def mail(number: int) -> str:
    return f"canary{number:03d}@nest{number:03d}.example.org"


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def planted() -> tuple[ExportTraceServiceRequest, list[str]]:
    """A request with a canary in each place, and the canaries."""
    request = empty(3)
    canaries = [*VALUES, BY_KEY]
    for place in range(PLACES):
        canaries.append(mail(place))
        put(request, place, f"x {mail(place)} y {VALUES[place % len(VALUES)]} z")
    resource = request.resource_spans[0]
    span = resource.scope_spans[0].spans[1]
    for number, key in enumerate(LABELS):
        for holder in (span.attributes, resource.resource.attributes):
            holder.add(key=key).value.string_value = mail(100 + number)
        canaries.append(mail(100 + number))
    resource.resource.attributes.add(key="service.name").value.string_value = mail(150)
    span.attributes.add(key="Password").value.string_value = BY_KEY
    span.attributes.add(key="db.password_hash").value.bytes_value = BY_KEY.encode()
    nested = json.dumps(
        {"arguments": json.dumps({"to": mail(151), "home_address": BY_KEY, "deep": [{"password": [BY_KEY]}]})}
    )
    span.attributes.add(key="gen_ai.tool.call.arguments").value.string_value = nested
    span.attributes.add(key="cut").value.string_value = '{"a": 1, "password": "' + BY_KEY
    span.attributes.add(key="escaped").value.string_value = '{"m": "' + mail(152).replace("@", "\\u0040") + '"}'
    canaries += [mail(150), mail(151), mail(152), mail(152).replace("@", "\\u0040"), "canary152"]
    span.status.code = span.status.STATUS_CODE_ERROR
    return request, canaries


def send(sidecar: RunningSidecar, data: bytes, path: str = "/v1/traces", kind: str = "application/json") -> bytes:
    """The answer, whatever it is."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{sidecar.http}{path}", data=data, headers={"Content-Type": kind, "OpenAI-Beta": "traces=v1"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()


def as_json(request: ExportTraceServiceRequest) -> bytes:
    written = MessageToDict(request, use_integers_for_enums=True)
    for span in written["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span["traceId"], span["spanId"] = "a1" * 16, "b2" * 8
        for link in span.get("links", ()):
            link["traceId"], link["spanId"] = "c3" * 16, "d4" * 8
    return json.dumps(written).encode()


def agents_sdk() -> bytes:
    """As OpenAI's SDK for agents sends it."""
    trace = {
        "object": "trace",
        "id": "trace_" + "a" * 32,
        "workflow_name": mail(200),
        "group_id": mail(201),
        "metadata": {"m": mail(202)},
    }
    span = {
        "object": "trace.span",
        "id": "span_" + "b" * 24,
        "trace_id": "trace_" + "a" * 32,
        "parent_id": None,
        "started_at": "2026-03-01T10:00:00.000000+00:00",
        "ended_at": "2026-03-01T10:00:01.000000+00:00",
        "span_data": {
            "type": "function",
            "name": mail(203),
            "input": json.dumps({"to": mail(204), "password": BY_KEY}),
            "output": mail(205),
        },
        "error": {"message": mail(206), "data": {"why": mail(207)}},
    }
    return json.dumps({"data": [trace, span]}).encode()


def zipkin() -> bytes:
    span = {
        "traceId": "a" * 32,
        "id": "b" * 16,
        "name": mail(210),
        "timestamp": 1760000000000000,
        "duration": 10,
        "localEndpoint": {"serviceName": mail(211), "ipv4": "198.51.100.23"},
        "tags": {"mail": mail(212), "password": BY_KEY},
        "annotations": [{"timestamp": 1760000000000001, "value": mail(213)}],
    }
    return json.dumps([span]).encode()


def with_exemplars(sidecar: RunningSidecar) -> bytes:
    """The metrics as Prometheus asks for them."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{sidecar.admin}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return bytes(answer.read())


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def config(wire: Wire, **redact: Any) -> dict[str, Any]:
    return manifest(
        otlp("sink", "HTTP", wire.port),
        processors=[
            {"name": "normalize", "type": "Normalize"},
            {"name": "redact", "type": "Redact", "redact": {**OWN, **redact}},
            {"name": "price", "type": "Price"},
            {"name": "detect", "type": "Detect"},
        ],
        logLevel="Debug",
        sidecar={"receivers": {"zipkin": {}}},
    )


def test_no_canary_is_left_anywhere(sidecars: Sidecars, wire: Wire) -> None:
    sidecar = sidecars.start(config=config(wire))
    request, canaries = planted()
    canaries += [mail(number) for number in range(200, 214)] + ["198.51.100.23"]
    body = request.SerializeToString()
    answers = [send(sidecar, body, kind="application/x-protobuf"), send(sidecar, as_json(request))]
    answers += [send(sidecar, agents_sdk(), "/v1/traces/ingest"), send(sidecar, zipkin(), "/api/v2/spans")]
    with grpc.insecure_channel(f"127.0.0.1:{sidecar.grpc}") as channel:
        export: Any = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        answers.append(export(body, timeout=20))
    # What is malformed is answered with words: those must not repeat it either.
    answers += [
        send(sidecar, as_json(request)[:-40]),
        send(sidecar, b'{"resourceSpans": "' + mail(300).encode() + b'"}'),
        send(sidecar, as_json(request).replace(b"a1" * 16, mail(301).encode())),
        send(sidecar, zipkin().replace(b'"traceId": "a', b'"traceId": "' + mail(302).encode()), "/api/v2/spans"),
        send(sidecar, agents_sdk().replace(b"2026-03", mail(303).encode()), "/v1/traces/ingest"),
        send(sidecar, zipkin().replace(b'"duration": 10', b'"duration": "%s"' % mail(304).encode()), "/api/v2/spans"),
    ]
    canaries += [mail(number) for number in range(300, 305)]
    book = sidecar.settled()
    assert book["acknowledged"] >= 11, (book, answers)
    # What a backend refuses is kept on disk as a dead letter.
    wire.status = 400
    send(sidecar, body, kind="application/x-protobuf")
    book = sidecar.settled()
    told = [sidecar.get(path)[1].encode() for path in ("/metrics", "/health", "/ledger")]
    told.append(with_exemplars(sidecar))
    assert b" # {trace_id=" in told[-1]
    kept = dict(files(sidecars.data))
    assert sidecar.stop() == 0
    everywhere = {
        **{f"before the stop: {name}": content for name, content in kept.items()},
        **dict(files(sidecars.folder)),
        **{f"sent {number}": sent for number, sent in enumerate(wire.seen)},
        **{f"told {number}": text for number, text in enumerate(told)},
        **{f"answer {number}": text for number, text in enumerate(answers)},
    }
    everywhere.pop(str(sidecars.config), None)
    assert len(wire.seen) >= 2
    assert any(b"[REDACTED]" in sent for sent in wire.seen)
    assert b'tracekeeper_redacted_values_total{processor="redact",detector="Email",action="Mask"}' in told[0]
    left = [
        (where, canary)
        for where, content in everywhere.items()
        for canary in canaries
        for form in (canary.encode(), json.dumps(canary)[1:-1].encode(), canary.replace(" ", "").encode())
        if form in content
    ]
    assert not left


def test_without_its_secret_nothing_is_stored_and_the_sender_is_told(sidecars: Sidecars, wire: Wire) -> None:
    hashed = {"action": "Hash", "hashKey": {"secretKeyRef": {"name": "redaction", "key": "hash"}}}
    sidecar = sidecars.start(config=config(wire, **hashed))
    until(lambda: "redaction" in sidecar.get("/health")[1], "the missing Secret is named")
    request, _ = planted()
    answer = send(sidecar, request.SerializeToString(), kind="application/x-protobuf")
    assert b"has no key 'hash'" in answer and b"RetryInfo" in answer, "it may come in a moment"
    book = sidecar.ledger()
    assert book["refused"] == {"processor": 3}
    assert not any(b"canary" in content for _, content in files(sidecars.data))

"""`tracekeeper-sidecar redact --explain`: where, why and how long, never what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from redaction_requests import SECRETS, empty, put
from tracekeeper_sidecar.__main__ import main

MANIFEST = """
apiVersion: tracekeeper.dev/v1alpha1
kind: TracingConfig
metadata: {name: agents, namespace: shop}
spec:
  backends: [{name: sink, type: OTLP, otlp: {protocol: HTTP, endpoint: "http://127.0.0.1:9"}}]
  processors:
    - {name: hide, type: Redact, redact: {detectors: [Email], patterns: [{name: staff, pattern: 'emp-[0-9]+'}]}}
"""


def run(*arguments: str) -> int:
    return main(["redact", "--explain", *arguments])


def test_all_places_are_told_and_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = empty()
    for place, secret in enumerate(SECRETS[:20]):
        put(request, place, f"x {secret} x")
    file = tmp_path / "spans.bin"
    file.write_bytes(request.SerializeToString())
    assert run(str(file)) == 3
    said = capsys.readouterr().out
    for each in (
        "resource.attributes",
        "events[0].name",
        "links[1].trace_state",
        "status.message",
        'attributes["[REDACTED]',
    ):
        assert each in said or 'attributes["x [REDACTED] x"]' in said
    assert not [secret for secret in SECRETS if secret in said]
    assert run(str(file), "--json") == 3
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["detector"] for each in told} >= {"Email", "Phone", "CreditCard", "IBAN", "SSN"}
    assert all(each["bytes"] > 0 for each in told)


def test_json_lines_and_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = empty(1)
    put(request, 0, "emp-17 and a@example.com")
    written = MessageToDict(request)
    span = written["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span.update(traceId="01" * 16, spanId="02" * 8, kind=3)
    file = tmp_path / "spans.jsonl"
    file.write_text((json.dumps(written) + "\n") * 2)
    manifest = tmp_path / "agents.yaml"
    manifest.write_text(MANIFEST)
    assert run(str(file), "--config", str(manifest), "--json") == 3
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["request"], each["detector"]) for each in told] == [
        (0, "staff"),
        (0, "Email"),
        (1, "staff"),
        (1, "Email"),
    ]
    assert {each["processor"] for each in told} == {"hide"}


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = tmp_path / "clean.bin"
    clean.write_bytes(empty().SerializeToString())
    assert run(str(clean)) == 0
    assert run(str(tmp_path / "absent")) == 1
    broken = tmp_path / "broken.bin"
    broken.write_bytes(b"\x0a\xff")
    assert run(str(broken)) == 1
    manifest = tmp_path / "agents.yaml"
    manifest.write_text(MANIFEST.replace("emp-[0-9]+", "emp-(?=x)"))
    assert run(str(clean), "--config", str(manifest)) == 2
    assert "does not compile" in capsys.readouterr().err
    manifest.write_text(MANIFEST.replace("type: Redact, redact", "type: Price, price: {overrides: []}, x"))
    assert run(str(clean), "--config", str(manifest)) != 0


def nested(levels: int) -> str:
    text = json.dumps({"password": "hunter2"})
    for _ in range(levels):
        text = json.dumps({"text": text})
    return text


def test_what_cannot_be_redacted_is_told_with_its_place_and_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = empty(2)
    request.resource_spans[0].scope_spans[0].spans[1].attributes.add(key="deep").value.string_value = nested(14)
    file = tmp_path / "spans.bin"
    file.write_bytes(request.SerializeToString())
    assert run(str(file)) == 3
    assert capsys.readouterr().err == (
        "request 0: redact could not redact 1 span, which would not be stored: "
        "attributes: there is JSON in JSON, deeper than is looked\n"
    )


def test_the_size_is_that_of_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = empty(1)
    request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="password").value.string_value = "8 bytes."
    file = tmp_path / "spans.bin"
    file.write_bytes(request.SerializeToString())
    assert run(str(file), "--json") == 3
    (told,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (told["detector"], told["bytes"]) == ("Key", 8)

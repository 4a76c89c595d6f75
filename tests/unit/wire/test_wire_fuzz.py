"""The scanner on damaged requests: the verdict that it gave before, and protobuf's verdict and bounds."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import wire_fuzz
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import scan
from tracekeeper_sidecar.wire.cut import NO_LIMIT, cut
from tracekeeper_sidecar.wire.meter import Sight

ROOT = Path(__file__).parents[3]
OURS = re.compile("wire type|a wire type|all zero|missing; must be|[0-9]+ bytes; must be")
"""Reasons that protobuf does not have: it takes a known field of another type for an unknown one, and any id."""
DAMAGED = 4000


def spans(message: ExportTraceServiceRequest) -> list[Span]:
    return [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]


def compare(body: bytes) -> bool:
    """Fails unless protobuf says the same of `body`; whether both accept it."""
    try:
        parsed = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        parsed = None
    try:
        found = scan.look(body)
    except WireError as error:
        assert parsed is None or OURS.match(str(error).partition(": ")[2]), (body.hex(), str(error))
        return False
    assert parsed is not None, body.hex()
    whole = spans(parsed)
    assert found.spans == len(whole), body.hex()
    pieces = [spans(ExportTraceServiceRequest.FromString(piece)) for piece, _ in cut(body, 1, NO_LIMIT)]
    assert [span for piece in pieces for span in piece] == whole, body.hex()
    return True


def test_every_kept_request_has_the_verdict_that_it_had(plain_look: Callable[[bytes], Sight]) -> None:
    runners = wire_fuzz.matchers()
    for body, found in wire_fuzz.corpus():
        assert wire_fuzz.exercise(body, runners) == found
        assert wire_fuzz.verdict(body, plain_look) == found


def test_protobuf_gives_the_same_verdict_and_the_same_bounds() -> None:
    chance = random.Random(9)
    kept = [body for body, _ in wire_fuzz.corpus()]
    bodies = [*wire_fuzz.seeds(), *kept]
    accepted = sum(compare(body) for body in bodies)
    accepted += sum(compare(wire_fuzz.damaged(chance, bodies)) for _ in range(DAMAGED))
    print(f"{len(kept)} kept and {DAMAGED} damaged requests, {accepted} of them accepted")
    assert 100 < accepted < DAMAGED


@pytest.mark.timeout(600)
def test_nothing_is_read_beyond_a_request(tmp_path: Path) -> None:
    """Under AddressSanitizer, compiled anew: the corpus, damaged requests and HTTP/2 of all kinds, for some seconds."""
    done = subprocess.run(
        [ROOT / "scripts/asan.sh", "--seconds", "4"],
        env={**os.environ, "TRACEKEEPER_ASAN": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "damaged requests" in done.stdout and "asan" in done.stdout and "connections lived" in done.stdout
    print(done.stdout)

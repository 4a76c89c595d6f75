"""The seam for processors: bytes pass as they are, or as processors leave them, and never past one that fails."""

from __future__ import annotations

import logging

import pytest

import otlp_requests
from receivers import Store, export
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.outcome import Accepted, Refused
from tracekeeper_sidecar.wire import processing
from tracekeeper_sidecar.wire.processing import Processing


def test_the_module_is_the_compiled_one() -> None:
    assert processing.__file__.endswith(".so")


def test_without_processors_the_very_same_bytes_come_out() -> None:
    body = otlp_requests.body(3)
    assert Processing().run(body, 3) is body


def test_processors_run_in_their_order() -> None:
    assert Processing((lambda body: body + b"1", lambda body: body + b"2")).run(b"0", 1) == b"012"


async def test_what_they_make_is_stored_and_what_fails_in_them_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    secret, masked = otlp_requests.body(1, text="hunter2"), otlp_requests.body(1, text="*******")

    def redact(body: bytes) -> bytes:
        if body == masked:
            raise ValueError("a processor that fails")
        return body.replace(b"hunter2", b"*******")

    store, ledger, admission = Store(), Intake(), Admission(1 << 20)
    receiver = Receiver(store.submit, ledger, admission, lambda: False, process=Processing((redact,)).run)
    assert await export(receiver, secret) == Accepted(1)
    with caplog.at_level(logging.CRITICAL):
        assert isinstance(await export(receiver, masked), Refused)
    assert store.payloads == [masked]
    assert (sum(ledger.refused.values()), admission.in_flight) == (1, 0)

"""What delivery tells the operator of this sidecar before it has begun, and of who collects its metrics."""

from __future__ import annotations

from pathlib import Path

from log_harness import ManualClock
from tracekeeper_sidecar.admin.scrapes import PATIENCE, Scrapes
from tracekeeper_sidecar.adopt.folders import SystemFolders
from tracekeeper_sidecar.buffer import Buffer
from tracekeeper_sidecar.control.standing import Standing
from tracekeeper_sidecar.delivery import Delivery
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.push.page import Page
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.settings import Settings


def nothing() -> Page:
    return Page(0.0, (), None)


def test_that_nobody_scrapes_is_told(tmp_path: Path) -> None:
    clock = ManualClock()
    scrapes = Scrapes(clock)
    buffer = Buffer(str(tmp_path), 1 << 20, SystemFiles(), clock)
    intake = Intake()
    receiver = Receiver(buffer.submit, intake, Admission(1 << 20), lambda: False)
    delivery = Delivery(
        Settings(str(tmp_path), 1 << 20), buffer, intake, clock, SystemFolders(), scrapes, receiver, None, nothing
    )
    assert delivery.standing() == Standing()
    clock.advance(PATIENCE)
    assert delivery.standing() == Standing(unscraped=True)
    scrapes.note("10.0.0.7")
    assert delivery.standing() == Standing()

"""What a step's process prints: what anybody would read is logged, and what nobody would is not even split."""

from __future__ import annotations

import logging
import time

import pytest

from tracekeeper_sidecar.process.custom.output import LINES, LONGEST, MINUTE, Output


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage().removeprefix("a custom step prints: ")
        for record in caplog.records
        if "prints" in record.getMessage()
    ]


def test_lines_come_whole_whatever_the_pieces(caplog: pytest.LogCaptureFixture) -> None:
    output = Output(lambda: 0.0)
    for piece in (b"on", b"e\ntw", b"o\n", b"", b"\nthree"):
        output.take(piece)
    assert lines(caplog) == ["one", "two", ""]
    output.end()
    assert lines(caplog) == ["one", "two", "", "three"]


def test_a_long_line_is_cut_and_takes_no_more_memory(caplog: pytest.LogCaptureFixture) -> None:
    output = Output(lambda: 0.0)
    for _ in range(1000):
        output.take(b"x" * 65536)
    output.take(b"\nnext\n")
    assert lines(caplog) == ["x" * LONGEST, "next"]


def test_so_many_in_a_minute_and_the_others_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    output = Output(lambda: now)
    output.take(b"".join(b"%d\n" % number for number in range(LINES + 5)) + b"half")
    output.take(b" a line\non")
    assert lines(caplog) == [str(number) for number in range(LINES)]
    now = MINUTE + 1
    output.take(b"e more\nlast\n")
    assert "has printed 6 more lines" in caplog.text
    assert lines(caplog)[LINES:] == ["one more", "last"]


def test_what_nobody_sees_costs_next_to_nothing() -> None:
    """Counted in what is done for a line, since a time would say something of the machine only."""
    calls = 0

    def monotonic() -> float:
        nonlocal calls
        calls += 1
        return 0.0

    output = Output(monotonic)
    for _ in range(100):
        output.take(b"\n" * 65536)
    assert calls < 1000
    output.end()


def test_a_last_line_beyond_the_number_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    output = Output(time.monotonic)
    output.take(b"x\n" * LINES + b"one more")
    output.end()
    assert "has printed 1 more lines" in caplog.text

"""What every test may use: the project's programs as processes, and the real cluster."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping

import pytest
import uvloop
from hypothesis import settings

# A machine under load is slow now and then, which is nothing that a test of properties is about.
settings.register_profile("tracekeeper", deadline=None)
settings.load_profile("tracekeeper")

ON_UVLOOP = (
    "tests/contract/",
    "tests/unit/app/test_link",
    "tests/unit/custom/",
    "tests/unit/http/",
    "tests/unit/receive/",
)
"""Where tests talk to the sidecar's servers, which run on uvloop only, and to its link, which does so in fact."""

PROOFS = ("tests/faults/", "tests/model/")
"""Where tests print how much they have tried: crash points, byte offsets, kills."""


def pytest_configure() -> None:
    """Part of pytest: let programs that tests start hear SIGINT, which a shell has ignored where it runs the tests in
    the background. Done here, because a `preexec_fn` makes Python fork, and gRPC's threads do not survive that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Part of pytest: show what passed tests have proved, so that it stands in CI's log."""
    shown = [
        (report.nodeid, report.capstdout.strip().splitlines())
        for report in terminalreporter.getreports("passed")
        if report.nodeid.startswith(PROOFS) and report.capstdout.strip()
    ]
    if not shown:
        return
    terminalreporter.section("what was proved")
    for test, lines in shown:
        terminalreporter.write_line(test)
        for line in lines:
            terminalreporter.write_line(f"    {line}")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Part of pytest-asyncio: the event loop of a test."""
    return {"loop": uvloop.new_event_loop if item.nodeid.startswith(ON_UVLOOP) else asyncio.new_event_loop}


pytest_plugins = ["cluster.fixtures", "forward_support.fixtures", "programs", "sidecar_process", "prometheus_process"]

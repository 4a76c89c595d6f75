"""Runs the project's programs as processes on the loopback and talks to them over HTTP. A pytest plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).parent.parent / "examples" / "demo"


def ask(port: int, path: str, method: str = "GET") -> bytes:
    """The body that 127.0.0.1:`port` answers with."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
        return body


@dataclass(frozen=True, slots=True)
class Backend:
    """One running backend.py and its ports."""

    pid: int
    grpc: int
    http: int
    admin: int
    started_in: float

    def json(self, path: str, method: str = "GET") -> Any:
        return json.loads(ask(self.admin, path, method))

    def ids(self) -> set[str]:
        return set(ask(self.admin, "/ids").decode().split())

    def fail(self, mode: str, more: str = "") -> None:
        self.json(f"/fail?mode={mode}{more}", "POST")

    def endpoint(self, protocol: str) -> str:
        return f"http://127.0.0.1:{self.grpc}" if protocol == "grpc" else f"http://127.0.0.1:{self.http}/v1/traces"


@pytest.fixture
def start_backend() -> Iterator[Callable[..., Backend]]:
    """Starts backends with extra arguments; they are stopped at the end, and must stop well."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> Backend:
        command = [
            sys.executable,
            str(DEMO / "backend.py"),
            "--grpc-port=0",
            "--http-port=0",
            "--admin-port=0",
        ]
        at = time.monotonic()
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        took = time.monotonic() - at
        assert ready["event"] == "ready"
        return Backend(process.pid, ready["grpc"], ready["http"], ready["admin"], took)

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.communicate(timeout=10)
        assert process.returncode == 0


@pytest.fixture
def backend(start_backend: Callable[..., Backend]) -> Backend:
    """One backend that stores."""
    return start_backend("--name", "a")


class RunningAgent:
    """An agent process whose lines are read as they come."""

    def __init__(self, environment: dict[str, str]) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "AGENT_"))}
        command = [sys.executable, str(DEMO / "agent.py")]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean | environment
        )
        self.lines: list[str] = []

    def until(self, start: str) -> str:
        """The next line that starts so; the test's own timeout is the deadline."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(start):
                return self.lines[-1]
        raise AssertionError(f"the agent ended without a line {start!r}:\n" + "\n".join(self.lines))

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.until("summary ").removeprefix("summary "))
        return found

    def end(self) -> None:
        """Kill it if it still runs."""
        self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture
def start_agent() -> Iterator[Callable[..., RunningAgent]]:
    """Starts agents with the given environment, fast ones unless told otherwise."""
    running: list[RunningAgent] = []

    def start(**environment: str) -> RunningAgent:
        base = {"AGENT_RUNS": "5", "AGENT_RUNS_PER_SECOND": "50", "OTEL_SERVICE_NAME": "weather"}
        running.append(RunningAgent(base | environment))
        return running[-1]

    yield start
    for agent in running:
        agent.end()


def to(backend: Backend, protocol: str) -> dict[str, str]:
    """The environment that sends traces to a backend."""
    return {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": backend.endpoint(protocol),
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
    }


@pytest.fixture(name="to")
def _to() -> Callable[[Backend, str], dict[str, str]]:
    return to


@pytest.fixture(name="ask")
def _ask() -> Callable[..., bytes]:
    return ask

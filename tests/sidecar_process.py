"""Runs `tracekeeper-sidecar` as its own process and asks it what a user would ask. A pytest plugin, for all tests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from otlp_requests import body

T = TypeVar("T")
SIDECAR = [sys.executable, "-m", "tracekeeper_sidecar"]


def until(condition: Callable[[], T | None], what: str, deadline: float = 20.0) -> T:
    """The condition's first true result; fails with `what` when there is none in time."""
    end = time.monotonic() + deadline
    while True:
        late = time.monotonic() >= end
        if result := condition():
            return result
        assert not late, f"within {deadline:g} s: {what}"
        time.sleep(0.02)


def manifest(*backends: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A TracingConfig with these backends and sections."""
    return {
        "apiVersion": "tracekeeper.dev/v1alpha1",
        "kind": "TracingConfig",
        "metadata": {"name": "agents", "namespace": "shop"},
        "spec": {"backends": list(backends), **sections},
    }


def otlp(name: str, protocol: str, port: int, **more: Any) -> dict[str, Any]:
    """A backend on the loopback that is tried again quickly, so that tests need not wait."""
    otlp = {"protocol": protocol, "endpoint": f"http://127.0.0.1:{port}", **more.pop("otlp", {})}
    fast = {
        "batch": {"maxDelay": "50ms"},
        "retry": {"initialBackoff": "50ms", "maxBackoff": "200ms"},
        "circuitBreaker": {"failureThreshold": 3, "openFor": "200ms", "maxOpenFor": "500ms"},
    }
    return {"name": name, "type": "OTLP", "otlp": otlp, **fast, **more}


class RunningSidecar:
    """One process. Its log lines go to a file, so that no pipe can fill."""

    def __init__(self, arguments: Sequence[str], log: Path, prefix: Sequence[str] = (), **popen: Any) -> None:
        self._log = log
        command = [*prefix, *SIDECAR, "run", "--log-format=json", *arguments]
        unset = [p for p in ("grpc", "http", "metrics") if not any(a.startswith(f"--{p}-listen") for a in arguments)]
        command.extend(f"--{port}-listen=127.0.0.1:0" for port in unset)
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, **popen)

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        text = self._log.read_text().splitlines()
        return [json.loads(line) for line in text if line.startswith("{")]

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Lines whose message matches."""
        return [line for line in self.lines() if re.search(message, line["message"])]

    def ready(self) -> RunningSidecar:
        """Wait until every port is bound."""

        def listening() -> dict[str, Any] | None:
            assert self.process.poll() is None, f"it ended: {self._log.read_text()}"
            found = [line for line in self.logged("^listening$") if line.get("pid", self.pid) == self.pid]
            return found[-1] if found else None

        line = until(listening, f"ports bound: {self._log.read_text()}")
        self.grpc, self.http, self.admin = (int(line[name].rpartition(":")[2]) for name in ("grpc", "http", "metrics"))
        return self

    @property
    def pid(self) -> int:
        return self.process.pid

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET on the metrics port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def post(self, spans: int, seed: int) -> int:
        """Send one request of so many spans over HTTP; the status of the answer."""
        return self.send(body(spans, seed=seed))

    def send(self, export: bytes) -> int:
        """Send a serialised request over HTTP; the status of the answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/v1/traces",
            data=export,
            headers={"Content-Type": "application/x-protobuf"},
        )
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            return error.code

    def health(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.get("/health")[1])
        return body

    def circuit(self, backend: str) -> str:
        circuits: dict[str, str] = {b["name"]: b["circuit"] for b in self.health()["backends"]}
        return circuits.get(backend, "")

    def ledger(self) -> dict[str, Any]:
        """The ledger with its numbers as numbers, after checking that it closes."""
        raw = json.loads(self.get("/ledger")[1])
        book = {name: int(raw[name]) for name in ("received", "acknowledged", "suspended")}
        refused = {reason: int(count) for reason, count in raw["refused"].items()}
        entries = {
            entry["name"]: {
                "start": int(entry["start"]),
                "pending": int(entry["pending"]),
                "delivered": sum(map(int, entry["delivered"].values())),
                "dropped": sum(map(int, entry["dropped"].values())),
                "sampled_out": sum(map(int, entry["sampledOut"].values())),
                "unmatched": int(entry["unmatched"]),
            }
            for entry in raw["delivery"]
        }
        filtered = sum(map(int, raw["filtered"].values()))
        assert book["received"] == book["acknowledged"] + sum(refused.values()) + filtered + book["suspended"], raw
        for entry in entries.values():
            assert book["acknowledged"] == sum(entry.values()), raw
        return {**book, "refused": refused, "delivery": entries}

    def settled(self, deadline: float = 30.0) -> dict[str, Any]:
        """The ledger once nothing is pending any more."""

        def idle() -> dict[str, Any] | None:
            book = self.ledger()
            return book if book["delivery"] and not any(e["pending"] for e in book["delivery"].values()) else None

        return until(idle, f"nothing pending: {self.get('/ledger')[1]} {self.get('/health')[1]}", deadline)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait(timeout=10)

    def stop(self, deadline: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=deadline)


class Sidecars:
    """Starts sidecars on one test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "config.yaml"
        self._running: list[RunningSidecar] = []

    def write(self, config: dict[str, Any]) -> None:
        """Put a manifest in place, whole, as an editor or the kubelet does."""
        new = self.config.with_suffix(".new")
        new.write_text(yaml.safe_dump(config))
        os.replace(new, self.config)

    def start(self, *arguments: str, config: dict[str, Any] | None = None, **popen: Any) -> RunningSidecar:
        """Start one with `config` on the test's data directory; wait until its ports are bound."""
        if config is not None:
            self.write(config)
        source = () if any(a.startswith("--policy") for a in arguments) else (f"--config={self.config}",)
        return self.launch(*source, f"--data-dir={self.data}", *arguments, **popen).ready()

    def launch(self, *arguments: str, **popen: Any) -> RunningSidecar:
        """Start one with exactly these arguments, ports aside; wait for nothing."""
        log = self.folder / f"sidecar-{len(self._running)}.log"
        self._running.append(RunningSidecar(arguments, log, **popen))
        return self._running[-1]

    def end(self) -> None:
        for sidecar in self._running:
            if sidecar.process.poll() is None:
                sidecar.kill()


@pytest.fixture
def sidecars(tmp_path: Path) -> Iterator[Sidecars]:
    """Sidecars that are gone when the test ends."""
    folder = Sidecars(tmp_path)
    yield folder
    folder.end()

"""One sidecar with two counting backends for a measurement, as processes on the loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

BACKEND = Path(__file__).parents[1] / "examples" / "demo" / "backend.py"
BACKENDS = ("a", "b")
CONFIG = """\
apiVersion: tracekeeper.dev/v1alpha1
kind: TracingConfig
metadata: {{name: bench, namespace: bench}}
spec:
  backends:
    - {{name: a, type: OTLP, otlp: {{protocol: GRPC, endpoint: "http://127.0.0.1:{a}"}}}}
    - {{name: b, type: OTLP, otlp: {{protocol: GRPC, endpoint: "http://127.0.0.1:{b}"}}}}
"""
START_LIMIT = 30.0


class Sidecar:
    """Started by `with`, all in one folder. Everything else about the config is what users get by default."""

    def __init__(self, folder: Path, storage: str = "8Gi") -> None:
        self._folder, self._storage = folder, storage
        self._stack = ExitStack()
        self._admin: dict[str, int] = {}
        self.pid = self.grpc = self.metrics = 0

    def __enter__(self) -> Sidecar:
        ports = {}
        for name in BACKENDS:
            command = [sys.executable, str(BACKEND), "--count-only", "--name", name]
            process = self._start(f"backend-{name}", [*command, "--grpc-port=0", "--http-port=0", "--admin-port=0"])
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            ports[name], self._admin[name] = ready["grpc"], ready["admin"]
        config = self._folder / "tracingconfig.yaml"
        config.write_text(CONFIG.format(**ports))
        (self._folder / "data").mkdir()
        self.grpc, http, self.metrics = _free_ports(3)
        command = [sys.executable, "-m", "tracekeeper_sidecar", "run", "--config", str(config)]
        command += ["--data-dir", str(self._folder / "data"), "--storage-size", self._storage]
        command += ["--grpc-listen", f"127.0.0.1:{self.grpc}", "--http-listen", f"127.0.0.1:{http}"]
        self.pid = self._start("sidecar", [*command, "--metrics-listen", f"127.0.0.1:{self.metrics}"]).pid
        self._until(lambda: self._ask(self.metrics, "/health").get("status") == "healthy", START_LIMIT, "healthy")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[str]:
        log = self._stack.enter_context(open(self._folder / f"{name}.log", "w", encoding="utf-8"))
        output = subprocess.PIPE if name.startswith("backend") else log
        process = subprocess.Popen(command, stdout=output, stderr=log, text=True)
        self._stack.callback(_stop, process)
        return process

    def tail(self) -> str:
        """What the sidecar said last."""
        return "\n".join((self._folder / "sidecar.log").read_text(errors="replace").splitlines()[-20:])

    def settled(self, limit: float) -> dict[str, Any]:
        """Wait until nothing is pending; returns the ledger then."""
        self._until(lambda: not _pending(self._ask(self.metrics, "/ledger")), limit, "nothing pending")
        return self._ask(self.metrics, "/ledger")

    def counted(self) -> dict[str, Any]:
        """Each backend's /stats."""
        return {name: self._ask(port, "/stats") for name, port in self._admin.items()}

    def _ask(self, port: int, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except OSError:
            return {}

    def _until(self, ready: Any, limit: float, what: str) -> None:
        deadline = time.monotonic() + limit
        while not ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the sidecar is not {what} after {limit:.0f} s; its log:\n{self.tail()}")
            time.sleep(0.1)


def _pending(ledger: dict[str, Any]) -> int:
    entries = ledger.get("delivery", [])
    return sum(int(entry["pending"]) for entry in entries) if len(entries) == len(BACKENDS) else 1


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=5)

"""Tracekeeper's sidecar as one side of a measurement: gRPC backends, and all else as users get it by default."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import processors
from processes import Failed, Program, Programs, free_ports, until
from tail import Tail, ours

NAME = "Tracekeeper"
CONFIG = """\
apiVersion: tracekeeper.dev/v1alpha1
kind: TracingConfig
metadata: {name: bench, namespace: bench}
spec:
"""
BACKEND = '    - {{name: {name}, type: OTLP, otlp: {{protocol: GRPC, endpoint: "http://127.0.0.1:{port}"}}{more}}}\n'
START_LIMIT = 60.0


class Sidecar:
    """One sidecar in one folder; it can be ended and started again on the same data and ports."""

    name = NAME

    def __init__(
        self,
        programs: Programs,
        backends: Mapping[str, int],
        storage: str = "8Gi",
        prefix: Sequence[str] = (),
        data: Path | None = None,
        *,
        tail: Tail | None = None,
        steps: str = "off",
    ) -> None:
        self._programs, self._prefix = programs, prefix
        self._backends, self._storage, self._tail = backends, storage, tail
        self.steps = steps
        """Its pipeline, one of processors.py."""
        if steps != "off":
            self.name = f"{NAME}, {processors.TITLES[steps]}"
        self.data = data or programs.folder / "data"
        self.config = programs.folder / "tracingconfig.yaml"
        self.data.mkdir(exist_ok=True)
        self.configure("")
        self.grpc, self.http, self._admin = free_ports(3)
        self.program: Program | None = None

    def configure(self, more: str) -> None:
        """Write the manifest, with `more` in each backend, whole at once."""
        new = self.config.with_suffix(".new")
        backends = [BACKEND.format(name=name, port=port, more=more) for name, port in self._backends.items()]
        sampling = ours(self._tail) if self._tail else ""
        new.write_text("".join([CONFIG, processors.section(self.steps), sampling, "  backends:\n", *backends]))
        new.replace(self.config)

    def start(self) -> None:
        """Start the process; it may not listen yet."""
        command = [*self._prefix, sys.executable, "-m", "tracekeeper_sidecar", "run", "--config", str(self.config)]
        command += ["--data-dir", str(self.data), "--storage-size", self._storage]
        command += ["--grpc-listen", f"127.0.0.1:{self.grpc}", "--http-listen", f"127.0.0.1:{self.http}"]
        self.program = self._programs.start("sidecar", [*command, "--metrics-listen", f"127.0.0.1:{self._admin}"])

    def ready(self) -> None:
        """Wait until it is healthy."""
        until(lambda: self.ask("/health").get("status") == "healthy", START_LIMIT, "the sidecar healthy", self.program)

    @property
    def pid(self) -> int:
        return self.running.pid

    @property
    def running(self) -> Program:
        """The process. Raises Failed when there is none."""
        if self.program is None:
            raise Failed("the sidecar has not been started")
        return self.program

    def ledger(self) -> dict[str, Any]:
        """The ledger, {} while it does not answer."""
        return self.ask("/ledger")

    def ask(self, path: str) -> dict[str, Any]:
        """JSON of a path of the metrics port, {} when there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}{path}", timeout=10) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except (OSError, ValueError):
            return {}

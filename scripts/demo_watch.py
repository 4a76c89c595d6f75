"""Follows a running sidecar: one live line, and a line whenever a circuit changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from demo_progress import DemoFailed, Progress

Look = Callable[[], tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]
"""Answers the sidecar's /health and /ledger and the agent's /stats; {} where nobody answers."""
EVERY = 0.2
SILENCE = 30.0
"""Seconds after which nobody's answer means that something is gone, not slow."""


class Watch:
    """What was seen last: circuits by backend, pending and delivered by delivery entry, whether the agent is done."""

    def __init__(self, progress: Progress, look: Look) -> None:
        self._progress, self._ask = progress, look
        self.circuits: dict[str, str] = {}
        self.pending: dict[str, int] = {}
        self.delivered: dict[str, int] = {}
        self.done = False
        self._heard = time.monotonic()

    @property
    def arrived(self) -> bool:
        """Whether every delivery entry has delivered something."""
        return bool(self.delivered) and all(self.delivered.values())

    def look(self) -> None:
        """Ask once, show once."""
        health, ledger, agent = self._ask()
        if health or ledger or agent:
            self._heard = time.monotonic()
        self.done = bool(agent.get("done"))
        for backend in health.get("backends", []):
            self._circuit(backend["name"], backend["circuit"], backend.get("lastError") or "")
        parts = []
        for entry in ledger.get("delivery", []):
            name = entry["name"]
            self.pending[name] = int(entry["pending"])
            self.delivered[name] = sum(int(n) for n in entry["delivered"].values())
            parts.append(f"{name} {self.delivered[name]}+{self.pending[name]}")
        made = f"{agent.get('created', 0)} spans, {agent.get('acknowledged', 0)} acknowledged"
        self._progress.live(f"{made} │ delivered+waiting: {', '.join(parts)}")

    def _circuit(self, name: str, circuit: str, error: str) -> None:
        before = self.circuits.get(name)
        self.circuits[name] = circuit
        if before is None or before == circuit:
            return
        text = f"{name}: circuit {before} → {circuit}"
        if circuit == "Closed":
            self._progress.good(text)
        else:
            self._progress.bad(f"{text}{f' ({error})' if error else ''}")

    def until(self, what: str, ready: Callable[[], bool], timeout: float, advice: Callable[[], list[str]]) -> None:
        """Look until `ready()`; raises DemoFailed with `advice` when time is up."""
        deadline = time.monotonic() + timeout
        while not ready():
            if time.monotonic() > deadline:
                raise DemoFailed(f"{what}: not within {timeout:.0f} s", *advice())
            self.look()
            if time.monotonic() > self._heard + SILENCE:
                raise DemoFailed(f"{what}: neither sidecar nor agent has answered for {SILENCE:.0f} s", *advice())
            time.sleep(EVERY)

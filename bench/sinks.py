"""The backends of a measurement, as processes: see sink.py."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from processes import Failed, Programs

SINK = Path(__file__).parent / "sink.py"
NAMES = ("a", "b")


class Sinks:
    """Started when this is made."""

    def __init__(
        self,
        programs: Programs,
        names: Sequence[str] = NAMES,
        *,
        ids: bool = False,
        traces: bool = False,
        masks: bool = False,
    ) -> None:
        self.ports: dict[str, int] = {}
        self._control: dict[str, int] = {}
        asked = {"--ids": ids, "--traces": traces, "--masks": masks}
        options = [option for option, wanted in asked.items() if wanted]
        for name in names:
            command = [sys.executable, str(SINK), *options]
            ready = json.loads(programs.start(f"sink-{name}", command, piped=True).line())
            self.ports[name], self._control[name] = ready["port"], ready["control"]

    def ask(self, name: str, line: str) -> dict[str, Any]:
        """The answer of one sink's control port. Raises Failed when it says error."""
        with socket.create_connection(("127.0.0.1", self._control[name]), timeout=60) as one:
            one.sendall(f"{line}\n".encode())
            with one.makefile() as answer:
                found: dict[str, Any] = json.loads(answer.readline())
        if "error" in found:
            raise Failed(f"sink {name}: {found['error']}")
        return found

    def mode(self, mode: str, *names: str) -> None:
        """Let these sinks, or all, behave so."""
        for name in names or self.ports:
            self.ask(name, f"mode {mode}")

    def stats(self) -> dict[str, dict[str, Any]]:
        """Each sink's counts."""
        return {name: self.ask(name, "stats") for name in self.ports}


def spans(stats: Mapping[str, Mapping[str, Any]]) -> int:
    """The spans of the sink that has the fewest."""
    return min(int(one["spans"]) for one in stats.values())


def since(stats: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """What came since."""
    return {name: {key: one[key] - before[name][key] for key in one} for name, one in stats.items()}

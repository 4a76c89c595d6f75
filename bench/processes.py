"""Processes of a measurement: each with a log of its own, and gone when the measurement ends."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

STOP_LIMIT = 30.0
LINE = 400
"""Characters of a line that a failure repeats."""


class Failed(Exception):
    """A measurement could not be taken; the message says why, with what the program said last."""


class Program:
    """One process, started when this is made; its output goes to FOLDER/NAME.log, appended."""

    def __init__(self, name: str, folder: Path, command: Sequence[str], *, piped: bool = False) -> None:
        self.name, self._log = name, folder / f"{name}.log"
        with self._log.open("ab") as log:
            output = subprocess.PIPE if piped else log
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        """The next line of a piped output. Raises Failed when the process ended instead."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline().decode()
        if not said:
            raise Failed(f"{self.name} ended before it was ready:\n{self.tail()}")
        return said

    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def tail(self, lines: int = 8) -> str:
        """What it said last."""
        return "\n".join(map(_shortened, self._log.read_text(errors="replace").splitlines()[-lines:]))

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._process.kill()
        self._process.wait(STOP_LIMIT)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not end it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Programs:
    """All of a measurement; `with` stops them, the last first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def start(self, name: str, command: Sequence[str], *, piped: bool = False) -> Program:
        """Start one; it is stopped at the end, if it has not been until then."""
        program = Program(name, self.folder, command, piped=piped)
        self._stack.callback(program.stop)
        return program


def until(
    ready: Callable[[], bool], limit: float, what: str, program: Program | None = None, every: float = 0.1
) -> None:
    """Wait for a condition. Raises Failed, with the program's last words, when it does not come or the program ends."""
    deadline = time.monotonic() + limit
    while not ready():
        late, ended = time.monotonic() > deadline, program is not None and program.ended()
        if late or ended:
            how = "the program ended" if ended else f"waited {limit:.0f} s"
            raise Failed(f"{what}: {how}\n{program.tail() if program else ''}")
        time.sleep(every)


def _shortened(line: str) -> str:
    # A line with a traceback says what happened at its beginning and at its end.
    return line if len(line) <= LINE else f"{line[: LINE // 2]} … {line[-LINE // 2 :]}"


def free_ports(count: int) -> list[int]:
    """So many ports of the loopback that nobody listened on a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def listening(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def disk_bytes(folder: Path) -> int:
    """What the files of a folder take on the disk."""
    total = 0
    for root, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.stat(os.path.join(root, file)).st_blocks * 512
            except OSError:
                continue  # It was deleted while we looked.
    return total

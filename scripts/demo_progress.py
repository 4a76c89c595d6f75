"""What a demo prints while it works: steps with elapsed times, and a line that lives on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

T = TypeVar("T")
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_EVERY = 20.0
"""Seconds between two live lines where there is no terminal to rewrite them on: enough for a log to show progress."""


class DemoFailed(Exception):
    """The demo cannot go on. The text says what happened; `advice` holds the next steps, one a line."""

    def __init__(self, problem: str, *advice: str) -> None:
        self.advice = advice
        super().__init__(problem)


class Progress:
    """Prints steps. Colours and the live line only where the output is a terminal and NO_COLOR is not set."""

    def __init__(self, output: TextIO = sys.stdout, plain_every: float = PLAIN_EVERY) -> None:
        self._output = output
        self._tty = output.isatty()
        self._colours = self._tty and "NO_COLOR" not in os.environ
        self._begin = time.monotonic()
        self._plain_every = plain_every
        self._plain_at = 0.0
        self._live = False
        self._turn = 0

    @property
    def interactive(self) -> bool:
        """Whether somebody sits at a terminal and can be asked."""
        return self._tty and sys.stdin.isatty()

    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._begin

    def colour(self, code: int, text: str) -> str:
        """Text in an ANSI colour, where colours are wanted."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def say(self, text: str = "", stamp: bool = False) -> None:
        """One line; with `stamp` behind the elapsed time."""
        self._clear()
        self._write(f"{self.elapsed():6.1f} s  {text}\n" if stamp else f"{text}\n")

    def lines(self, lines: list[str]) -> None:
        """Several lines, indented."""
        for line in lines:
            self.say(f"  {line}".rstrip())

    def heading(self, text: str) -> None:
        """A line that stands out."""
        self.say()
        self.say(self.colour(1, text))

    def good(self, text: str) -> None:
        """Something went well."""
        self.say(f"{self.colour(32, '✓')} {text}", stamp=True)

    def bad(self, text: str) -> None:
        """Something failed; that is worth seeing, or the end."""
        self.say(f"{self.colour(31, '✗')} {text}", stamp=True)

    def verdict(self, faults: list[str]) -> None:
        """How it ended: what is not as promised, or that all is."""
        self.say()
        for fault in faults:
            self.bad(fault)
        if not faults:
            self.good("equal: every span the agent was told is safe arrived in both backends, none dropped")

    def live(self, text: str) -> None:
        """What goes on right now: rewritten in place on a terminal, else a line every few seconds."""
        if self._tty:
            self._turn += 1
            line = f"{self.elapsed():6.1f} s  {SPINNER[self._turn % len(SPINNER)]} {text}"
            self._write(f"\r\x1b[2K{line[: _width() - 1]}")
            self._live = True
        elif self.elapsed() >= self._plain_at:
            self._plain_at = self.elapsed() + self._plain_every
            self._write(f"{self.elapsed():6.1f} s  … {text}\n")

    @contextmanager
    def step(self, doing: str, done: str = "") -> Iterator[None]:
        """Say what is being done, and how long it took when it is."""
        self._clear()
        self.say(f"→ {doing}", stamp=True)
        self._plain_at = self.elapsed() + self._plain_every
        begin = time.monotonic()
        yield
        self.good(f"{done or doing} ({time.monotonic() - begin:.1f} s)")

    def wait(self, what: str, ready: Callable[[], T | None], timeout: float, advice: Callable[[], list[str]]) -> T:
        """Ask `ready` until it answers something true; raises DemoFailed with `advice` when time is up."""
        deadline = time.monotonic() + timeout
        while True:
            found = ready()
            if found:
                return found
            if time.monotonic() > deadline:
                raise DemoFailed(f"{what}: not within {timeout:.0f} s", *advice())
            self.live(what)
            time.sleep(0.2)

    def _clear(self) -> None:
        if self._live:
            self._write("\r\x1b[2K")
            self._live = False

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()


def _width() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100

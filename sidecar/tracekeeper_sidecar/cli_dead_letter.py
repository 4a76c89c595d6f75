"""The command `tracekeeper-sidecar dead-letter`: what backends have refused, listed and sent again.

Without a directory it asks the running sidecar. With one it works on that by itself: a volume that was saved, say,
after its pod is gone. Listing touches nothing; replaying takes the directory's lock, so no sidecar may run on it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tracekeeper_sidecar.admin import client
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.control.source import Instruction, ManifestSource
from tracekeeper_sidecar.errors import LogUnavailable, PolicyError
from tracekeeper_sidecar.forward.backend import Backend
from tracekeeper_sidecar.forward.build import build
from tracekeeper_sidecar.forward.connection import Unusable, connect
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.letter import describe, parse, parse_name
from tracekeeper_sidecar.forward.replay import REASON, replay
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import DEAD_LETTERS, SystemFiles

DONE, FAILED = 0, 1
ASK = 10.0
"""Seconds that a sidecar may take to answer, beside what it was asked to take."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which letters: those of a running sidecar, or of a directory."""

    admin: str
    directory: str | None = None
    config: str | None = None
    """With `directory`: the manifest that names the backends."""
    secrets_dir: str | None = None


def show(where: Where, as_json: bool) -> int:
    """Print the letters; returns the exit code."""
    try:
        letters = _listed(where.directory) if where.directory else _asked(where.admin)
    except (OSError, ValueError) as error:
        return _failed(f"not listed: {error}")
    if as_json:
        print(json.dumps({"letters": letters}, indent=2))
        return DONE
    for letter in letters:
        print(_line(letter))
    spans = sum(int(str(letter.get("spans", 0))) for letter in letters)
    print(f"{len(letters)} dead letters with {spans} spans")
    return DONE


def send_again(where: Where, timeout: float) -> int:
    """Replay the letters and say what became of them; returns the exit code, 0 when none is left."""
    try:
        if where.directory is None:
            path = f"/dead-letters/replay?timeout={timeout:g}"
            done = client.request(where.admin, "POST", path, timeout + ASK)
        else:
            done = asyncio.run(_replay(where.directory, _instruction(where), timeout))
    except (OSError, ValueError, PolicyError, LogUnavailable) as error:
        return _failed(f"not replayed: {error}")
    print(f"{done['letters']} dead letters with {done['spans']} spans were sent")
    for left in done["left"]:
        print(f"letter {left['number']} stays: {left['why']}", file=sys.stderr)
    return FAILED if done["left"] else DONE


def _failed(problem: str) -> int:
    print(problem, file=sys.stderr)
    return FAILED


def _asked(admin: str) -> Sequence[dict[str, object]]:
    found: list[dict[str, object]] = client.request(admin, "GET", "/dead-letters", ASK)["letters"]
    return found


def _listed(directory: str) -> Sequence[dict[str, object]]:
    """Those in a directory, which is only read. Raises OSError."""
    files, folder = SystemFiles(), f"{directory}/{DEAD_LETTERS}"
    files.listdir(directory)  # A directory that is not there must not look like one without letters.
    try:
        names = sorted(files.listdir(folder))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        if (parsed := parse_name(name)) is not None:
            handle = files.open(f"{folder}/{name}")
            try:
                found.append(describe(parsed[0], parse(files.pread(handle, files.size(handle), 0))))
            finally:
                files.close(handle)
    return found


def _line(letter: dict[str, object]) -> str:
    if "problem" in letter:
        return f"{letter['number']:>6}  damaged: {letter['problem']}"
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(str(letter["time"]))))
    return (
        f"{letter['number']:>6}  {when}  {letter['delivery']}  {letter['why']}  {letter['spans']} spans "
        f"({letter['bytes']} bytes): backend {letter['backend']!r}: {letter['message']}"
    )


def _instruction(where: Where) -> Instruction:
    """What the manifest says. Raises PolicyError, OSError, ValueError."""
    if where.config is None:
        raise ValueError("--config FILE is needed with a directory: it names the backends to send to")
    instruction = ManifestSource(where.config, where.secrets_dir).read()
    if instruction is None:
        raise ValueError(f"{where.config} holds no TracingConfig")
    return instruction


async def _replay(directory: str, instruction: Instruction, timeout: float) -> dict[str, object]:  # noqa: ASYNC109
    """On the directory itself. Raises OSError and LogUnavailable."""
    files, clock = SystemFiles(), SystemClock()
    try:
        lock = files.lock_directory(directory)
    except BlockingIOError:
        raise OSError(f"a sidecar runs on {directory}: leave the directory out, and it is asked") from None
    backends: dict[str, Backend] = {}
    try:
        for spec in instruction.spec.backends:
            backend = backends[spec.name] = Backend(spec, clock, random.random, lambda: None)
            connection = connect(spec, instruction.secrets)
            await backend.connect(
                connection, connection if isinstance(connection, Unusable) else await build(connection)
            )
        entries = {entry.name: [backends[name] for name in entry.backends] for entry in instruction.spec.delivery}
        booked: dict[str, int] = {}
        done = await replay(
            DeadLetters(directory, files),
            entries,
            lambda name, spans: booked.update({name: booked.get(name, 0) + spans}),
            clock,
            timeout,
        )
        _book(CursorStore(directory, files), booked)
        return done.described()
    finally:
        for backend in backends.values():
            await backend.close()
        files.close(lock)


def _book(cursors: CursorStore, spans: dict[str, int]) -> None:
    """Add to the ledgers on disk what was sent. Raises LogUnavailable."""
    for name, count in spans.items():
        cursor = cursors.load(name)
        if cursor is not None:
            cursor.account.redelivered[REASON] += count
            cursors.save(name, cursor)

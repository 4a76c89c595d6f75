"""The dead-letter area: what backends have refused for good, kept for people to look at and to send again.

One file per request in `DATA_DIR/dead-letter`, synced before its spans are counted as dropped. The area is bounded:
the oldest letters go when a new one needs their room, and that is counted. It is part of the data directory's quota.
A letter that cannot be stored holds nothing up: its spans are dropped all the same, and counted as lost here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from tracekeeper_sidecar.forward import letter as letters
from tracekeeper_sidecar.forward.letter import Damaged, Letter
from tracekeeper_sidecar.log.files import DEAD_LETTERS, Files
from tracekeeper_sidecar.threads import in_thread

T = TypeVar("T")
logger = logging.getLogger(__name__)

BLOCK = 4096
"""Bytes; what volumes charge for."""


@dataclass(frozen=True, slots=True)
class LetterStats:
    """One moment of the area."""

    letters: int = 0
    spans: int = 0
    bytes: int = 0
    limit: int = 0
    """Bytes; 0 when nothing is kept."""
    evicted_spans: int = 0
    """Spans in letters that were removed to make room, since the start."""
    lost_spans: int = 0
    """Spans given up without a letter, since the start: no room, a disk that failed, or nothing is to be kept."""


@dataclass(frozen=True, slots=True)
class _Kept:
    name: str
    spans: int
    size: int


class DeadLetters:
    """One data directory's. Owned by one event loop; files are touched in threads, one at a time."""

    def __init__(self, data_dir: str, files: Files) -> None:
        self.limit = 0
        """Bytes that the area may take; 0 keeps nothing. The oldest letters beyond go with the next one stored."""
        self._directory, self._files = f"{data_dir}/{DEAD_LETTERS}", files
        self._kept: dict[int, _Kept] = {}
        self._size = self._evicted = self._lost = 0
        self._next = 1
        self._opened = False
        self._lock = asyncio.Lock()

    def stats(self) -> LetterStats:
        """What can be said now, without touching a file."""
        return LetterStats(
            letters=len(self._kept),
            spans=sum(kept.spans for kept in self._kept.values()),
            bytes=self._size,
            limit=self.limit,
            evicted_spans=self._evicted,
            lost_spans=self._lost,
        )

    async def open(self) -> None:
        """Find the letters of earlier runs. An area that cannot be read is reported and counts as empty."""
        await self._run(lambda: None)

    async def keep(self, letter: Letter) -> bool:
        """Return when the letter would survive a loss of power; False, with a log line, when it is not kept."""
        if not self.limit:
            self._lost += letter.spans
            return False
        try:
            kept = await self._run(lambda: self._keep(letter))
        except OSError as fault:
            kept, problem = False, str(fault)
        else:
            problem = f"it does not fit into the {self.limit} bytes of buffer.deadLetterSize"
        if not kept:
            self._lost += letter.spans
            logger.error(
                "a refused request of %d spans could not be kept as a dead letter: %s",
                letter.spans,
                problem,
                extra={"delivery": letter.delivery, "backend": letter.backend, "spans": letter.spans},
            )
        return kept

    async def numbers(self) -> list[int]:
        """Of all letters, the oldest first."""
        await self.open()
        return sorted(self._kept)

    async def described(self) -> list[dict[str, object]]:
        """Every letter, the oldest first, as `letter.describe` puts it."""
        found = [(number, await self.read(number)) for number in await self.numbers()]
        return [letters.describe(number, letter) for number, letter in found if letter is not None]

    async def read(self, number: int) -> Letter | Damaged | None:
        """One letter; None when it is gone."""
        return await self._run(lambda: self._read(number))

    async def remove(self, number: int) -> None:
        """Forget a letter; no error if it is gone. Raises OSError."""
        await self._run(lambda: self._remove(number, sync=True))

    async def _run(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread, alone; a caller who is cancelled meanwhile waits for its end."""
        async with self._lock:
            return await in_thread(partial(self._opened_then, work))

    # Everything below runs in a thread.

    def _opened_then(self, work: Callable[[], T]) -> T:
        if not self._opened:
            try:
                self._open()
            except FileNotFoundError:
                pass  # There has never been a letter.
            except OSError as fault:
                logger.error("the dead letters in %s cannot be read: %s", self._directory, fault)
            self._opened = True
        return work()

    def _open(self) -> None:
        for name in self._files.listdir(self._directory):
            parsed = letters.parse_name(name)
            if parsed is not None:
                size = self._files.stat(f"{self._directory}/{name}").charged
                self._kept[parsed[0]] = _Kept(name, parsed[1], _blocks(size))
        self._size = sum(kept.size for kept in self._kept.values())
        self._next = max(self._kept, default=0) + 1
        newest = self._next - 1
        # One that cannot be read stays: that may be the disk's fault, or a lack of handles.
        if newest in self._kept and isinstance(self._content(newest), Damaged):
            # The process or the machine stopped while it was written: its spans were not counted as dropped then.
            self._remove(newest, sync=True)

    def _keep(self, letter: Letter) -> bool:
        head, body = letters.serialise(letter)
        size = _blocks(len(head) + len(body))
        if size > self.limit:
            return False
        self._make_room(self.limit - size)
        number, name = self._next, letters.name_of(self._next, letter.spans)
        self._next += 1
        self._files.make_directory(self._directory)
        if not self._kept:
            self._files.sync_directory(self._directory.rpartition("/")[0])
        path = f"{self._directory}/{name}"
        handle = self._files.open(path, write=True, create=True)
        try:
            _write(self._files, handle, (head, body))
            self._files.fdatasync(handle)
            self._files.sync_directory(self._directory)
        except OSError:
            with contextlib.suppress(OSError):
                self._files.unlink(path)
            raise
        finally:
            self._files.close(handle)
        self._kept[number] = _Kept(name, letter.spans, size)
        self._size += size
        return True

    def _make_room(self, goal: int) -> None:
        """Remove the oldest letters until the others take `goal` bytes at most."""
        gone = spans = 0
        while self._kept and self._size > goal:
            oldest = min(self._kept)
            spans += self._kept[oldest].spans
            self._remove(oldest, sync=False)
            gone += 1
        if gone:
            self._evicted += spans
            logger.warning(
                "%d dead letters with %d spans were removed to make room for newer ones: replay them sooner, or raise "
                "buffer.deadLetterSize",
                gone,
                spans,
                extra={"letters": gone, "spans": spans},
            )

    def _read(self, number: int) -> Letter | Damaged | None:
        if number not in self._kept:
            return None
        try:
            return self._content(number)
        except FileNotFoundError:
            return None
        except OSError as fault:
            return Damaged(f"it cannot be read: {fault}")

    def _content(self, number: int) -> Letter | Damaged:
        """Raises OSError."""
        handle = self._files.open(f"{self._directory}/{self._kept[number].name}")
        try:
            return letters.parse(self._files.pread(handle, self._files.size(handle), 0))
        finally:
            self._files.close(handle)

    def _remove(self, number: int, *, sync: bool) -> None:
        kept = self._kept.get(number)
        if kept is None:
            return
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(f"{self._directory}/{kept.name}")
        if sync:
            self._files.sync_directory(self._directory)
        del self._kept[number]
        self._size -= kept.size


def _write(files: Files, handle: int, parts: Sequence[bytes]) -> None:
    """Write the parts one after another, whole. Raises OSError."""
    rest: list[bytes | memoryview] = [memoryview(part) for part in parts if part]
    offset = 0
    while rest:
        written = files.pwritev(handle, rest, offset)
        offset += written
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if written:
            rest[0] = memoryview(rest[0])[written:]


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK

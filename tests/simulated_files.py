"""A filesystem in memory that forgets what was not synced, fills up, fails, and stops at a chosen operation.

It implements `tracekeeper_sidecar.log.files.Files`. `crash` returns the filesystem as it may look after a loss of
power: of everything since the last sync of a file or directory, any part may have reached the disk, in any order.
"""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tracekeeper_sidecar.log.files import FileInfo

BLOCK = 4096


@dataclass
class Write:
    """Bytes that reach the disk whole or not at all: at most one sector."""

    offset: int
    data: bytes


@dataclass
class Resize:
    size: int
    shrink: bool


@dataclass
class Inode:
    current: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Resize] = field(default_factory=list)

    def apply(self, content: bytearray, change: Write | Resize) -> None:
        if isinstance(change, Write):
            end = change.offset + len(change.data)
            if len(content) < end:
                content.extend(bytes(end - len(content)))
            content[change.offset : end] = change.data
        elif change.shrink:
            del content[change.size :]
            content.extend(bytes(change.size - len(content)))
        elif len(content) < change.size:
            content.extend(bytes(change.size - len(content)))

    def change(self, change: Write | Resize) -> None:
        self.apply(self.current, change)
        self.pending.append(change)

    def sync(self) -> None:
        for change in self.pending:
            self.apply(self.durable, change)
        self.pending.clear()


@dataclass(frozen=True)
class Link:
    name: str
    inode: Inode


@dataclass(frozen=True)
class Unlink:
    name: str


@dataclass(frozen=True)
class Rename:
    old: str
    new: str


Fault = Callable[[str, str], OSError | None]
"""Given operation and path, the error to raise instead, or None."""


class SimulatedFiles:
    """One directory of files. Safe in any thread."""

    def __init__(self, *, sector: int = 512, capacity: int | None = None, preallocates: bool = True) -> None:
        self.sector, self.capacity, self.preallocates = sector, capacity, preallocates
        self.fault: Fault = lambda operation, path: None
        self.stop_after: int | None = None
        """Operations that still work; every one after them fails, as if the machine had stopped."""
        self.operations = 0
        """Operations that changed something, so far."""
        self.log: list[str] = []
        self.largest = 0
        """The most bytes that were ever in use."""
        self._names: dict[str, Inode] = {}
        self._durable: dict[str, Inode] = {}
        self._pending: list[Link | Unlink | Rename] = []
        self._handles: dict[int, tuple[str, Inode]] = {}
        self._next = 1000
        self._locked: int | None = None
        self._mutex = threading.RLock()

    # What tests do.

    def crash(self, chance: random.Random) -> SimulatedFiles:
        """The same directory after a loss of power."""
        with self._mutex:
            after = SimulatedFiles(sector=self.sector, capacity=self.capacity, preallocates=self.preallocates)
            names = dict(self._durable)
            for change in self._pending:
                if chance.random() < 0.5:
                    _apply(names, change)
            for name, inode in names.items():
                content = bytearray(inode.durable)
                survivors = [change for change in inode.pending if chance.random() < 0.5]
                if chance.random() < 0.5:
                    chance.shuffle(survivors)
                for survivor in survivors:
                    inode.apply(content, survivor)
                after._names[name] = Inode(bytearray(content), bytearray(content))
            after._durable = dict(after._names)
            return after

    def restart(self) -> SimulatedFiles:
        """The same directory after the process was killed: the page cache survives, and a later `crash` still drops
        what was never synced."""
        with self._mutex:
            after = SimulatedFiles(sector=self.sector, capacity=self.capacity, preallocates=self.preallocates)
            copies: dict[int, Inode] = {}

            def copy(inode: Inode) -> Inode:
                if id(inode) not in copies:
                    copies[id(inode)] = Inode(bytearray(inode.current), bytearray(inode.durable), list(inode.pending))
                return copies[id(inode)]

            after._names = {name: copy(inode) for name, inode in self._names.items()}
            after._durable = {name: copy(inode) for name, inode in self._durable.items()}
            for change in self._pending:
                after._pending.append(Link(change.name, copy(change.inode)) if isinstance(change, Link) else change)
            return after

    def content(self, name: str) -> bytearray:
        """A file's bytes; change them to damage it."""
        return self._names[name].current

    def put(self, name: str, content: bytes) -> None:
        """Make a file as somebody else would."""
        inode = Inode(bytearray(content), bytearray(content))
        self._names[name] = self._durable[name] = inode

    @property
    def names(self) -> list[str]:
        return sorted(self._names)

    @property
    def used(self) -> int:
        with self._mutex:
            return sum(_blocks(len(inode.current)) for inode in self._names.values())

    # Files.

    def make_directory(self, path: str) -> None:
        self._check("make_directory", path)

    def listdir(self, path: str) -> list[str]:
        with self._mutex:
            self._check("listdir", path)
            return list(self._names)

    def stat(self, path: str) -> FileInfo:
        with self._mutex:
            self._check("stat", path)
            inode = self._find(path)
            return FileInfo(len(inode.current), _blocks(len(inode.current)))

    def open(self, path: str, *, write: bool = False, create: bool = False) -> int:
        with self._mutex:
            name = os.path.basename(path)
            if create:
                self._change("create", path)
                if name in self._names:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
                inode = Inode()
                self._link(Link(name, inode))
            else:
                self._check("open", path)
                inode = self._find(path)
            self._next += 1
            self._handles[self._next] = name, inode
            return self._next

    def close(self, handle: int) -> None:
        with self._mutex:
            if handle == self._locked:
                self._locked = None
            else:
                del self._handles[handle]

    def size(self, handle: int) -> int:
        return len(self._handles[handle][1].current)

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        with self._mutex:
            name, inode = self._handles[handle]
            self._check("pread", f"{name}@{offset}+{size}")
            return bytes(inode.current[offset : offset + size])

    def pwritev(self, handle: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        with self._mutex:
            name, inode = self._handles[handle]
            data = b"".join(buffers)
            self._room(_blocks(max(len(inode.current), offset + len(data))) - _blocks(len(inode.current)))
            at = 0
            while at < len(data):
                step = min(len(data) - at, self.sector - (offset + at) % self.sector)
                # Each sector is an operation of its own, so that a stop may fall into the middle of a write.
                self._change("write", name)
                inode.change(Write(offset + at, data[at : at + step]))
                at += step
            self._note()
            return len(data)

    def allocate(self, handle: int, size: int) -> bool:
        with self._mutex:
            name, inode = self._handles[handle]
            self._change("allocate", name)
            if not self.preallocates:
                return False
            self._room(_blocks(size) - _blocks(len(inode.current)))
            inode.change(Resize(size, shrink=False))
            self._note()
            return True

    def truncate(self, handle: int, size: int) -> None:
        with self._mutex:
            name, inode = self._handles[handle]
            self._change("truncate", name)
            inode.change(Resize(size, shrink=True))

    def fdatasync(self, handle: int) -> None:
        with self._mutex:
            name, inode = self._handles[handle]
            try:
                self._change("fdatasync", name)
            except OSError:
                if self.stop_after is None:
                    # What Linux does: the pages are marked clean, so a second sync would succeed without them.
                    inode.pending.clear()
                raise
            inode.sync()

    def rename(self, old: str, new: str) -> None:
        with self._mutex:
            self._change("rename", old)
            self._find(old)
            self._link(Rename(os.path.basename(old), os.path.basename(new)))

    def unlink(self, path: str) -> None:
        with self._mutex:
            self._change("unlink", path)
            self._find(path)
            self._link(Unlink(os.path.basename(path)))

    def sync_directory(self, path: str) -> None:
        with self._mutex:
            self._change("sync_directory", path)
            for change in self._pending:
                _apply(self._durable, change)
            self._pending.clear()

    def lock_directory(self, path: str) -> int:
        with self._mutex:
            self._check("lock_directory", path)
            if self._locked is not None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
            self._next += 1
            self._locked = self._next
            return self._next

    # Inside.

    def _find(self, path: str) -> Inode:
        inode = self._names.get(os.path.basename(path))
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return inode

    def _link(self, change: Link | Unlink | Rename) -> None:
        _apply(self._names, change)
        self._pending.append(change)

    def _check(self, operation: str, path: str) -> None:
        raised = self.fault(operation, path)
        if raised is not None:
            raise raised

    def _change(self, operation: str, path: str) -> None:
        if self.stop_after is not None:
            if self.stop_after <= 0:
                raise OSError(errno.EIO, "the machine has stopped", path)
            self.stop_after -= 1
        self.operations += 1
        self.log.append(f"{operation} {os.path.basename(path)}")
        self._check(operation, path)

    def _room(self, more: int) -> None:
        if self.capacity is not None and more > 0 and self.used + more > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _note(self) -> None:
        self.largest = max(self.largest, self.used)


def _apply(names: dict[str, Inode], change: Link | Unlink | Rename) -> None:
    if isinstance(change, Link):
        names[change.name] = change.inode
    elif isinstance(change, Unlink):
        names.pop(change.name, None)
    elif change.old in names:
        names[change.new] = names.pop(change.old)


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK

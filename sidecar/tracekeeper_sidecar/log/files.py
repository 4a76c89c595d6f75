"""The filesystem as a parameter: everything the log does to files goes through `Files`.

Tests put a filesystem here that forgets what was not synced, fills up, or fails. All methods block and raise
`OSError` as the system call underneath does; handles are small integers as the operating system's are.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""What filesystems without preallocation answer to a request for it."""

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Causes that mean: this directory cannot be written by us, now or later, until somebody changes it."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Causes that mean: no room on the volume; room may return."""

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Causes that say nothing about the file: the process lacks handles or memory."""

DEAD_LETTERS = "dead-letter"
"""A folder in the data directory that is not the log's, but counts against its quota."""

KEPT = "kept"
"""A folder in the data directory with a log of its own, and a quota of its own: what sampling has decided on."""

RATES = "rates"
"""The stem of two files there: what adaptive sampling has learned. See `decide.rates`."""

METER = "meter"
"""The stem of two files in the data directory: what has been counted. See `meter.checkpoint`."""

OWNER_LOCK = "owner.lock"
"""Below it, where it is one of several folders on a node: locked while its pod's own sidecar lives. See `adopt`."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What `Files.stat` tells."""

    size: int
    """Length in bytes."""
    allocated: int
    """Bytes the volume gave to it, preallocation included."""
    regular: bool = True
    """False for directories, sockets and the like."""

    @property
    def charged(self) -> int:
        """Bytes counted against the quota: never less than either figure."""
        return max(self.size, self.allocated)


class Files(Protocol):
    """What the log needs of a filesystem."""

    def make_directory(self, path: str) -> None:
        """Create the directory and its parents; no error if it is there."""

    def listdir(self, path: str) -> list[str]:
        """Names in the directory, in any order."""

    def stat(self, path: str) -> FileInfo:
        """Sizes of one file; symbolic links are not followed."""

    def open(self, path: str, *, write: bool = False, create: bool = False) -> int:
        """Return a handle; with `create` the file must not exist yet."""

    def close(self, handle: int) -> None:
        """Give the handle back; never raises for a handle that was open."""

    def size(self, handle: int) -> int:
        """Length of the open file in bytes."""

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only at the end of the file."""

    def pwritev(self, handle: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        """Write the buffers one after another; return the bytes written, which may be fewer than all."""

    def allocate(self, handle: int, size: int) -> bool:
        """Reserve the first `size` bytes, reading as zeros; False when the filesystem cannot."""

    def truncate(self, handle: int, size: int) -> None:
        """Set the length."""

    def fdatasync(self, handle: int) -> None:
        """Return when the file's data, and its length, would survive a loss of power."""

    def rename(self, old: str, new: str) -> None:
        """Give the file another name in the same directory."""

    def unlink(self, path: str) -> None:
        """Remove the name."""

    def sync_directory(self, path: str) -> None:
        """Return when creations, renames and removals in the directory would survive a loss of power."""

    def lock_directory(self, path: str) -> int:
        """Take the directory for this process until the handle is closed; BlockingIOError if another one has it."""


class SystemFiles:
    """The operating system's files. Stateless; safe in any thread."""

    def make_directory(self, path: str) -> None:
        os.makedirs(path, mode=0o750, exist_ok=True)

    def listdir(self, path: str) -> list[str]:
        return os.listdir(path)

    def stat(self, path: str) -> FileInfo:
        found = os.lstat(path)
        return FileInfo(found.st_size, found.st_blocks * 512, (found.st_mode & 0o170000) == 0o100000)

    def open(self, path: str, *, write: bool = False, create: bool = False) -> int:
        flags = os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_RDWR if write else os.O_RDONLY)
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        return os.open(path, flags, 0o640)

    def close(self, handle: int) -> None:
        # Nothing depends on what close reports: data that matters was synced, the rest was never promised.
        with contextlib.suppress(OSError):
            os.close(handle)

    def size(self, handle: int) -> int:
        return os.fstat(handle).st_size

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        return os.pread(handle, size, offset)

    def pwritev(self, handle: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        return os.pwritev(handle, buffers, offset)

    def allocate(self, handle: int, size: int) -> bool:
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as fault:
            if fault.errno in UNSUPPORTED:
                return False
            raise
        return True

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def fdatasync(self, handle: int) -> None:
        os.fdatasync(handle)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def sync_directory(self, path: str) -> None:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def lock_directory(self, path: str) -> int:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock may have renamed the directory, and another may be there by now.
            if not os.path.samestat(os.fstat(handle), os.stat(path)):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        except OSError:
            os.close(handle)
            raise
        return handle

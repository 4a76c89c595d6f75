"""Folders that sidecars of one config share on a node, one for each pod, and who holds which.

    SHARED/UID/owner.lock    locked by the pod's own sidecar for as long as its process lives
    SHARED/UID               locked by whoever has opened the log in it, see Files.lock_directory
    SHARED/UID.drained       everything in it has been delivered; anybody may remove it

Both locks are flock's: the kernel lets them go with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import Protocol

from tracekeeper_sidecar.log.files import OWNER_LOCK

DRAINED = ".drained"


class Folders(Protocol):
    """What adoption needs of a filesystem. All methods block; paths are absolute."""

    def claim(self, folder: str) -> bool:
        """Make the folder if need be and hold it as its pod's own sidecar until the process ends.

        False while somebody looks at it just now. Raises OSError.
        """

    def claimed(self, folder: str) -> bool:
        """Whether its pod's own sidecar lives. Raises OSError when nobody can tell."""

    def of_pods(self, shared: str) -> list[str]:
        """Names of the folders in `shared` that are not drained, in any order. Raises OSError."""

    def drained(self, shared: str) -> list[str]:
        """Names of the folders in `shared` that are. Raises OSError."""

    def retire(self, folder: str) -> str:
        """Mark it drained, for good, by another name; returns its path from now on. Raises OSError."""

    def remove(self, folder: str) -> None:
        """Remove it with all that is in it. What cannot be removed now stays."""


class SystemFolders:
    """The operating system's. Keeps the claims of this process open."""

    def __init__(self) -> None:
        self._claims: list[int] = []

    def claim(self, folder: str) -> bool:
        os.makedirs(folder, mode=0o750, exist_ok=True)
        handle = os.open(f"{folder}/{OWNER_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        if not _lock(handle, fcntl.LOCK_EX):
            os.close(handle)
            return False
        self._claims.append(handle)
        return True

    def claimed(self, folder: str) -> bool:
        try:
            handle = os.open(f"{folder}/{OWNER_LOCK}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            return not _lock(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)

    def of_pods(self, shared: str) -> list[str]:
        return [name for name in _folders(shared) if not name.endswith(DRAINED)]

    def drained(self, shared: str) -> list[str]:
        return [name for name in _folders(shared) if name.endswith(DRAINED)]

    def retire(self, folder: str) -> str:
        retired = f"{folder}{DRAINED}"
        os.rename(folder, retired)
        # On disk before anything in it goes: else a power loss could bring it back under its old name, half empty.
        handle = os.open(os.path.dirname(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return retired

    def remove(self, folder: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Let every claim go, as the end of the process does."""
        for handle in self._claims:
            os.close(handle)
        self._claims.clear()


def _lock(handle: int, kind: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
        return True
    return False


def _folders(shared: str) -> list[str]:
    with os.scandir(shared) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name[0] != "."]

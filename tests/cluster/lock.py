"""A lock between processes: of two that would make the same thing, one waits for the other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.wait import wait_for


@contextmanager
def locked(path: Path, seconds: float, what: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file or a folder; it ends with this process, however that ends.

    Several can hold it `shared` at a time, or one alone.

    Raises DeadlinePassed, naming `what`, when another process holds it for longer than `seconds`.
    """
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o644)
    try:
        wait_for(
            lambda: _taken(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX),
            seconds,
            f"another process still works at this: {what} ({path})",
        )
        yield
    finally:
        os.close(handle)


def _taken(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

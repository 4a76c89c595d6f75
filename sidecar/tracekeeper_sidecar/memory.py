"""What the C library does with memory that the sidecar has given back."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def share_one_arena() -> bool:
    """Let all threads allocate from one arena. To be called before there is a second thread.

    By default glibc gives threads arenas of their own. A batch that one thread reads and another frees then leaves a
    hole that only the first can fill again, and the process keeps a fifth more memory than it ever uses. The threads
    hardly contend for one arena: most hold the interpreter's lock anyway. False where the C library is not glibc, which
    needs no such thing.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    except AttributeError:
        return False

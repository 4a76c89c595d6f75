"""What is done with memory that the sidecar has given back, and how little is looked through for more."""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""From glibc's malloc.h."""
_KEPT = 4 << 20
"""Bytes of free memory that are kept for what comes next."""


def keep_some() -> bool:
    """Let requests and batches use memory again that others have just given back.

    By default glibc takes whole new pages for objects of some hundred kilobytes, and gives them back after each: the
    kernel's work for that is a fifth of what a request of 50 spans costs. False where the C library is not glibc.
    """
    try:
        change = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(change(_M_MMAP_THRESHOLD, _KEPT)) and bool(change(_M_TRIM_THRESHOLD, _KEPT))


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


def spare_what_stays() -> None:
    """Let the garbage collector pass over everything there is now. To be called when the start is over.

    Modules, classes and what has been set up stay until the end, and are most of all objects: each full collection
    would look through them again, for 10 ms and more, and find nothing.
    """
    gc.freeze()

# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Requests that came before, by a mark of 64 bits each; compiled with the types in came.pxd.

A client sends a request again when it was refused, or when its answer was lost: what adds up what requests say must
know it. Two generations of marks are kept, so that the oldest are forgotten without being looked for.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire.rows import Index

MOST = 32_768
"""Marks of a generation."""


class Came:
    """For one thread at a time."""

    def __init__(self, seed: int) -> None:
        """With a `seed` that nobody knows, no choice of marks makes it slow."""
        self._young = Index(MOST, seed)
        self._old = Index(MOST, seed)

    def again(self, mark: int) -> int:
        """Whether it has come before; it has from now on."""
        if self._young.get(mark) >= 0 or self._old.get(mark) >= 0:
            return 1
        if self._young.put(mark, 0) == 0:
            self._young, self._old = self._old, self._young
            self._young.clear()
            self._young.put(mark, 0)
        return 0

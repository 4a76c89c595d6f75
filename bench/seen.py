"""Which spans of numbered requests were seen: a byte each in memory, a bit each in a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Marks = npt.NDArray[np.bool_]


class Seen:
    """Requests by spans, growing with the numbers up to `limit` bytes."""

    def __init__(self, spans: int = 64, requests: int = 1 << 16, limit: int = 1 << 28) -> None:
        self._marks: Marks = np.zeros((requests, spans), dtype=np.bool_)
        self._limit = limit

    def add(self, numbers: Sequence[tuple[int, int]]) -> int:
        """Mark (request, span) pairs, spans counted from 1; returns how many. Raises ValueError beyond the limit."""
        if numbers:
            requests, spans = np.array(numbers, dtype=np.int64).T
            self._grow(int(requests.max()), int(spans.max()))
            self._marks[requests, spans - 1] = True
        return len(numbers)

    def _grow(self, request: int, span: int) -> None:
        rows, columns = self._marks.shape
        while rows <= request:
            rows *= 2
        columns = max(columns, span)
        if rows * columns > self._limit:
            raise ValueError(f"request {request}, span {span} is beyond the {self._limit} bytes that are kept")
        if (rows, columns) != self._marks.shape:
            grown = np.zeros((rows, columns), dtype=np.bool_)
            grown[: self._marks.shape[0], : self._marks.shape[1]] = self._marks
            self._marks = grown

    @property
    def distinct(self) -> int:
        """How many different spans."""
        return int(self._marks.sum())

    def save(self, file: str) -> None:
        """Write the marks as bits."""
        with open(file, "wb") as out:
            np.savez(out, shape=np.array(self._marks.shape), bits=np.packbits(self._marks))


def read(file: str) -> Marks:
    """What `save` wrote."""
    with np.load(file) as found:
        rows, columns = (int(n) for n in found["shape"])
        flat = np.unpackbits(found["bits"], count=rows * columns)
        marks: Marks = flat.astype(np.bool_).reshape(rows, columns)
        return marks

# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Rows of counts by small numbers that stand for labels; compiled with the types in rows.pxd.

A row's key has eight bits for each label, the first lowest: 0 for none, 1 for `other`, more for values that a table of
labels knows. So rows are found without an object being made, and a family has a bound that nothing moves: what finds
no room is counted in one row whose labels are all `other`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekeeper_sidecar.wire import native

_ALL_64 = 0xFFFFFFFFFFFFFFFF
_STIR = 0x9E3779B97F4A7C15
_NONE = -1
_EXEMPLAR = 5
"""Words of one: trace id, span id, value, Unix time in milliseconds."""
MINUTES = 6
"""Minutes, the one that runs included, whose highest values are remembered."""


class Index:
    """Small numbers by words of 64 bits. What is in it is only ever taken out all at once."""

    def __init__(self, most: int, seed: int = 0) -> None:
        """For at most `most` words. With a `seed` that nobody knows, no choice of words makes it slow."""
        size, shift = 16, 60
        while size < 2 * most:
            size, shift = 2 * size, shift - 1
        self.most = most
        self.count = 0
        self._seed, self._mask, self._shift = seed, size - 1, shift
        self._buffers = [bytearray(8 * size + 64), bytearray(4 * size + 64)]
        self._keys = native.words(self._buffers[0])
        self._numbers = native.halves(self._buffers[1])

    def get(self, key: int) -> int:
        """Its number, or -1."""
        at = (((key ^ self._seed) * _STIR) & _ALL_64) >> self._shift
        while self._numbers[at] != 0:
            if self._keys[at] == key:
                return self._numbers[at] - 1
            at = (at + 1) & self._mask
        return _NONE

    def put(self, key: int, number: int) -> int:
        """Gives a key that is not there a number; 0 if there is no room."""
        if self.count >= self.most:
            return 0
        at = (((key ^ self._seed) * _STIR) & _ALL_64) >> self._shift
        while self._numbers[at] != 0:
            at = (at + 1) & self._mask
        self._keys[at] = key
        self._numbers[at] = number + 1
        self.count += 1
        return 1

    def clear(self) -> None:
        """Forget everything."""
        at = 0
        while at <= self._mask:
            self._numbers[at] = 0
            at += 1
        self.count = 0


class Births:
    """Numbers rows as they come, over all families."""

    def __init__(self) -> None:
        self.count = 0


class Family:
    """The rows of one metric. For one thread at a time."""

    def __init__(
        self,
        labels: int,
        births: Births,
        most: int = 500,
        bounds: Sequence[int] = (),
        recent: bool = False,
        fixed: int = 0,
    ) -> None:
        """`most` rows of so many `labels`; with `bounds` (ascending, whole numbers) a histogram; if it is `recent`, the
        highest values of the last minutes. `fixed` has all bits of labels set in which `other` is a value of its own.
        """
        if len(bounds) > 30 or not 1 <= labels <= 8:
            raise ValueError(f"{len(bounds)} bounds and {labels} labels; at most 30 and from 1 to 8")
        self.most = most
        self.overflow = 0
        """What was counted as `other`, in any label."""
        self._births = births
        self._recent = recent
        self._buckets = len(bounds)
        self._bounds = [0] * 32
        for place, bound in enumerate(bounds):
            self._bounds[place] = bound
        self.width = len(bounds) + 2 if bounds else 2 * MINUTES if recent else 1
        """Numbers in a row: of a histogram each bucket's, then the sum; of highest values, pairs of a minute and it."""
        self._all_other = 0
        for place in range(labels):
            self._all_other |= 1 << 8 * place
        self._fixed = fixed
        self._labels = labels
        self._index = Index(most)
        sizes = (8, 8, 8 * self.width, 8 * _EXEMPLAR * (len(bounds) + 1) if bounds else 0)
        self._buffers = [bytearray(size * (most + 1) + 64) for size in sizes]
        self._keys = native.words(self._buffers[0])
        self._born = native.words(self._buffers[1])
        self._values = native.words(self._buffers[2])
        self._exemplars = native.words(self._buffers[3])
        self._columns = [bytearray(4 * (most + 1) + 64) for _ in range(2)]
        self._stamps = native.halves(self._columns[0])
        self._state = native.halves(self._columns[1])  # 0 not in use, 1 in use, 2 in use and of `other`.
        self._used = 0
        self._free: list[int] = []
        self._last_key = 0
        self._last = _NONE

    def __len__(self) -> int:
        return len(self.rows())

    def add(self, key: int, amount: int, tick: int) -> None:
        """Count so much more, at the time `tick` in any unit."""
        row = self._row(key, tick)
        self._values[row] += min(amount, _ALL_64 - self._values[row])  # What is full stays so.

    def observe(self, key: int, value: int, hi: int, lo: int, span: int, time_ms: int, tick: int) -> None:
        """Count in a histogram, with an exemplar."""
        row = self._row(key, tick)
        low = 0
        high = self._buckets
        while low < high:
            middle = (low + high) >> 1
            if value > self._bounds[middle]:
                low = middle + 1
            else:
                high = middle
        at = row * self.width
        self._values[at + low] += 1
        self._values[at + self._buckets + 1] += min(value, _ALL_64 - self._values[at + self._buckets + 1])
        at = (row * (self._buckets + 1) + low) * _EXEMPLAR
        self._exemplars[at] = hi
        self._exemplars[at + 1] = lo
        self._exemplars[at + 2] = span
        self._exemplars[at + 3] = value
        self._exemplars[at + 4] = time_ms

    def raise_to(self, key: int, value: int, minute: int, tick: int) -> None:
        """Note a value that may be the highest of its minute."""
        at = self._row(key, tick) * self.width + 2 * (minute % MINUTES)
        if self._values[at] != minute:
            self._values[at] = minute
            self._values[at + 1] = 0
        if self._values[at + 1] < value:
            self._values[at + 1] = value

    def _row(self, key: int, tick: int) -> int:
        if key == self._last_key and self._last >= 0:
            row = self._last
        else:
            row = self._index.get(key)
            if row < 0:
                row = self._new(key)
            self._last_key = key
            self._last = row
        self._stamps[row] = tick
        if self._state[row] == 2:
            self.overflow += 1
        return row

    def _new(self, key: int) -> int:
        """A row for a key that has none. What finds no room has one more row, which is in no index."""
        if key == self._all_other or (self._used >= self.most and len(self._free) == 0):
            row = self.most
            if self._state[row] == 0:
                self._begin(row, self._all_other)
            return row
        if len(self._free) > 0:
            row = self._free.pop()
        else:
            row = self._used
            self._used += 1
        self._index.put(key, row)
        self._begin(row, key)
        return row

    def _begin(self, row: int, key: int) -> None:
        self._births.count += 1
        self._born[row] = self._births.count
        self._keys[row] = key
        at = row * self.width
        while at < (row + 1) * self.width:
            self._values[at] = 0
            at += 1
        if self._buckets:
            at = row * (self._buckets + 1) * _EXEMPLAR
            while at < (row + 1) * (self._buckets + 1) * _EXEMPLAR:
                self._exemplars[at] = 0
                at += 1
        self._state[row] = 1
        place = 0
        while place < self._labels:
            if key >> 8 * place & 255 == 1 and not self._fixed >> 8 * place & 255:
                self._state[row] = 2
            place += 1

    # What is read and kept of it; nothing of this is hot.

    def rows(self) -> list[int]:
        """Those in use."""
        return [row for row in range(self.most + 1) if (row < self._used or row == self.most) and self._state[row]]

    def key(self, row: int) -> int:
        """The labels' numbers."""
        return int(self._keys[row])

    def born(self, row: int) -> int:
        """When it came, among all rows; 0 for those that an earlier process had."""
        return int(self._born[row])

    def stamp(self, row: int) -> int:
        """When it was last counted in."""
        return int(self._stamps[row])

    def numbers(self, row: int) -> list[int]:
        """Its `width` numbers."""
        return [int(self._values[at]) for at in range(row * self.width, (row + 1) * self.width)]

    def exemplars(self, row: int) -> list[tuple[int, int, int, int, int]]:
        """Of each bucket the two halves of the trace id, span id, value and time; all 0 where there is none."""
        found = []
        for bucket in range(self._buckets + 1):
            at = (row * (self._buckets + 1) + bucket) * _EXEMPLAR
            found.append(
                (
                    int(self._exemplars[at]),
                    int(self._exemplars[at + 1]),
                    int(self._exemplars[at + 2]),
                    int(self._exemplars[at + 3]),
                    int(self._exemplars[at + 4]),
                )
            )
        return found

    def copy(self) -> Family:
        """The same rows, apart from what comes: to be read by others, not to be counted in."""
        bounds = [int(self._bounds[place]) for place in range(self._buckets)]
        made = Family(self._labels, self._births, self.most, bounds, self._recent, self._fixed)
        made.overflow = self.overflow
        made._used = self._used
        self._copy_to(made)
        return made

    def _copy_to(self, made: Family) -> None:
        row = 0
        while row <= self.most:
            if row < self._used or row == self.most:
                made._keys[row] = self._keys[row]
                made._born[row] = self._born[row]
                made._stamps[row] = self._stamps[row]
                made._state[row] = self._state[row]
                at = row * self.width
                while at < (row + 1) * self.width:
                    made._values[at] = self._values[at]
                    at += 1
                if self._buckets:
                    at = row * (self._buckets + 1) * _EXEMPLAR
                    while at < (row + 1) * (self._buckets + 1) * _EXEMPLAR:
                        made._exemplars[at] = self._exemplars[at]
                        at += 1
            row += 1

    def oldest(self) -> int:
        """The row that was counted in longest ago; -1 if there is none."""
        found = _NONE
        row = 0
        while row < self._used:
            if self._state[row] != 0 and (found < 0 or self._stamps[row] < self._stamps[found]):
                found = row
            row += 1
        return found

    def restore(self, key: int, numbers: Sequence[int], tick: int) -> None:
        """A row that an earlier process had. Raises ValueError if there is no room, or of numbers."""
        full = self._used >= self.most and key != self._all_other
        if len(numbers) != self.width or full or self._index.get(key) >= 0:
            raise ValueError(f"{len(numbers)} numbers for row {key:x}; {self._used} of {self.most} rows are in use")
        row = self._new(key)
        self._born[row] = 0
        self._stamps[row] = tick
        for place, number in enumerate(numbers):
            self._values[row * self.width + place] = number

    def resume(self, overflow: int) -> None:
        """Go on from what an earlier process had counted as `other`."""
        self.overflow = overflow

    def drop(self, row: int) -> None:
        """Let a row go; whoever comes next may have its room. The one for everything else stays."""
        if row == self.most:
            return
        self._state[row] = 0
        self._free.append(row)
        self._last = _NONE
        self._index.clear()
        for each in self.rows():
            if each != self.most:
                self._index.put(int(self._keys[each]), each)

"""What of the log one delivery entry has settled: everything before a position, and runs of spans beyond it. Pure.

    ████████████████████──────█████──██████─────────
                        ▲     run    run            ▲
                     position                  the log's end

Batches are settled in whatever order backends take them, so one that nobody can digest holds up no other. The position
moves over what is settled without a gap; the runs beyond it are kept with the cursor, so that a restart repeats nothing
of them. Runs are of whole batches, so they begin and end between two frames of the log.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from tracekeeper_sidecar.model import Batch, Position

Runs = tuple[tuple[int, int], ...]
"""Each (offset, length) in spans, counted from a position's `seq`; in order, apart from each other."""

Stretches = tuple[tuple[int, int], ...]
"""Each (first span, span behind the last), counted from the log's beginning; in order."""


@dataclass(slots=True)
class _Run:
    """Settled spans from number `begin` up to `end`."""

    begin: int
    end: int
    place: Position | None
    """Where in the log the run ends; None where only a cursor tells of it, and nobody has read that far yet."""


class Settled:
    """Owned by one delivery entry."""

    def __init__(self, position: Position, runs: Runs = ()) -> None:
        self.position = position
        """Everything before it is settled."""
        self.ahead = 0
        """Spans in the runs beyond it."""
        self._runs: list[_Run] = []
        for offset, length in runs:
            self._add(_Run(position.seq + offset, position.seq + offset + length, None))

    def runs(self) -> Runs:
        """What is settled beyond the position."""
        origin = self.position.seq
        joined: list[tuple[int, int]] = []
        for run in self._runs:
            if joined and joined[-1][0] + joined[-1][1] == run.begin - origin:
                joined[-1] = joined[-1][0], run.end - origin - joined[-1][0]
            else:
                joined.append((run.begin - origin, run.end - run.begin))
        return tuple(joined)

    def count(self) -> int:
        """How many runs there are."""
        return len(self._runs)

    def settle(self, begin: Position, end: Position) -> int:
        """Everything between two places of the log is settled. Returns how many spans of it had been before."""
        if not self._runs and begin.seq <= self.position.seq:
            known = min(self.position.seq, end.seq) - begin.seq
            self.position = max(self.position, end)
            return known
        first = max(begin.seq, self.position.seq)
        known = min(first, end.seq) - begin.seq
        if first < end.seq:
            known += self._cut_out(first, end.seq, begin)
            self._add(_Run(first, end.seq, end))
        self._move()
        return known

    def stretches(self) -> Stretches:
        """The runs, counted from the log's beginning."""
        return tuple((run.begin, run.end) for run in self._runs)

    def between(self, begin: int, end: int) -> int:
        """Spans from number `begin` up to `end` that are settled."""
        before = max(0, min(self.position.seq, end) - begin)
        inside = (min(run.end, end) - max(run.begin, begin) for run in self._runs)
        return before + sum(spans for spans in inside if spans > 0)

    def _cut_out(self, begin: int, end: int, place: Position) -> int:
        """Take everything from `begin` up to `end` out of the runs; `place` is where `begin` is, if it is its seq."""
        known = 0
        kept: list[_Run] = []
        for run in self._runs:
            spans = min(run.end, end) - max(run.begin, begin)
            if spans <= 0:
                kept.append(run)
                continue
            known += spans
            if run.begin < begin:
                kept.append(_Run(run.begin, begin, place if place.seq == begin else None))
            if run.end > end:
                kept.append(_Run(end, run.end, run.place))
        self._runs = kept
        self.ahead -= known
        return known

    def _add(self, new: _Run) -> None:
        """Put in a run that overlaps no other, joined to its neighbours where its end stays known."""
        self.ahead += new.end - new.begin
        index = len(self._runs)
        while index and self._runs[index - 1].begin > new.begin:
            index -= 1
        self._runs.insert(index, new)
        after = self._runs[index + 1 : index + 2]
        if after and after[0].begin == new.end and after[0].place is not None:
            new.end, new.place = after[0].end, after[0].place
            del self._runs[index + 1]
        if index and self._runs[index - 1].end == new.begin and new.place is not None:
            new.begin = self._runs[index - 1].begin
            del self._runs[index - 1]

    def _move(self) -> None:
        """Take the runs that follow the position without a gap into it."""
        while self._runs and self._runs[0].begin <= self.position.seq:
            place = self._runs[0].place
            if place is None:
                return
            run = self._runs.pop(0)
            self.ahead -= run.end - run.begin
            self.position = place


def trimmed(batch: Batch, settled: Settled) -> Batch:
    """What of a batch is not settled. Damage across the border of a run makes batches of which a part is: the next
    sound frame may lie within the run."""
    known = settled.between(batch.begin.seq, batch.end.seq)
    if not known:
        return batch
    frames = [frame for frame in batch.frames if not settled.between(frame.seq, frame.seq + frame.spans)]
    body = b"".join(batch.body[frame.offset : frame.offset + frame.length] for frame in frames)
    spans = sum(frame.kept for frame in frames)
    sampled_out: Counter[str] = Counter()
    for frame in frames:
        sampled_out.update(frame.sampled_out)
    lost = batch.end.seq - batch.begin.seq - known - spans - sampled_out.total()
    return replace(batch, body=body, spans=spans, size=len(body), lost=lost, frames=(), sampled_out=sampled_out)


def step(stretches: Stretches, seq: int, most: int) -> int:
    """How many spans, from number `seq` on and at most `most`, a reader may take at once so that either all of them are
    in one of the stretches or none is. For settled stretches there is no `most`: nobody sends them."""
    for begin, end in stretches:
        if seq < begin:
            return min(most, begin - seq)
        if seq < end:
            return end - seq
    return most

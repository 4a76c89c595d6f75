"""Decisions on their way from one sidecar to the others of its group: gathered, without repeats, within bounds. Pure.

What is gathered goes out as one message, made once, whatever the number of sidecars. With many of them it is gathered
for longer, so that no more than some 2,000 messages a second leave; and fewer traces are told, so that no more than
`MOST_BYTES` a second do. What is beyond that is dropped, and counted: the trace is then kept in part.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_proto.control.v1 import control_pb2 as pb

TRACE_ID = 16
"""Bytes."""
SOONEST = 0.1
"""Seconds for which decisions are gathered at least."""
MESSAGES = 2000
"""A second, to all sidecars of a group together."""
MOST_IDS = 20_000
"""Traces a second that a group is told of."""
MOST_BYTES = 32_000_000
"""A second, to all sidecars of all groups together."""
MOST_WAITING = 65_536
"""Traces of a group."""
MOST_WAIT = 10.0
"""Seconds that what waits may take to go out: later on the others have cut their spans, and may have deleted them."""
REASON = 28
"""Bytes that a further reason takes in a message besides its rule's name. With adaptive sampling nearly every trace has
one of its own."""
GENERATION = 131_072
"""Traces; between one and two generations are known."""


class Repeats:
    """Traces that were told of lately, in any group: several sidecars find the same one worth keeping.

    Known by 64 bits of a keyed hash. Two traces of the same hash are one in 10^14 at full load; the second is not told.
    """

    def __init__(self, generation: int = GENERATION) -> None:
        self._generation = generation
        self._new: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def new(self, group: object, trace: bytes, rank: int) -> bool:
        """Whether this says more than was told of the trace before: a lower `rank` does."""
        key = hash((group, trace))
        known = self._new.get(key)
        if known is None:
            known = self._old.get(key)
        if known is not None and known <= rank:
            return False
        if len(self._new) >= self._generation:
            self._old, self._new = self._new, {}
        self._new[key] = rank
        return True


@dataclass(slots=True)
class Counts:
    """Traces."""

    told: int = 0
    repeated: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Waiting:
    decided: float
    ids: bytearray


class Spread:
    """What waits to be told in one group. `now` is monotonic seconds."""

    def __init__(self, group: object, repeats: Repeats) -> None:
        self._group, self._repeats = group, repeats
        self._waiting: dict[tuple[str, int, bool], _Waiting] = {}
        self._traces = 0
        self._since = 0.0
        """When the first of what waits came."""
        self._went = float("-inf")
        """When something went out last."""
        self.counts = Counts()

    @property
    def waiting(self) -> int:
        """Traces."""
        return self._traces

    @property
    def since(self) -> float:
        """When the first of what waits came."""
        return self._since

    def add(self, now: float, kept: pb.Kept, sidecars: int) -> None:
        """A sidecar keeps these; `sidecars` is how many are attached in all groups together."""
        room = min(MOST_WAITING, int(MOST_WAIT * rate(sidecars))) - self._traces
        reason = (kept.rule, kept.threshold, kept.erase)
        waiting = self._waiting.get(reason)
        if not self._traces:
            self._since = now
        ids, rank = kept.trace_ids, kept.threshold * 2 + kept.erase
        for start in range(0, len(ids), TRACE_ID):
            if room <= 0:  # Without a look at each: a sidecar can send more than anybody has time for.
                self.counts.dropped += (len(ids) - start) // TRACE_ID
                break
            trace = ids[start : start + TRACE_ID]
            if not self._repeats.new(self._group, trace, rank):
                self.counts.repeated += 1
                continue
            if waiting is None:
                waiting = self._waiting[reason] = _Waiting(kept.decided, bytearray())
            waiting.ids += trace
            waiting.decided = min(waiting.decided, kept.decided)
            self._traces += 1
            room -= 1

    def due(self, now: float, members: int) -> bool:
        """Whether something should go out to the `members` of the group."""
        return self._traces > 0 and now - max(self._since, self._went) >= gathering(members)

    def take(self, now: float, members: int, sidecars: int) -> bytes:
        """A serialised ToSidecar with what may go out now; the rest goes on waiting."""
        elapsed = min(now - self._went, max(1.0, 2.0 * gathering(members)))
        room = elapsed * rate(sidecars) * TRACE_ID
        message = pb.ToSidecar()
        for (rule, threshold, erase), waiting in list(self._waiting.items()):
            if message.kept.kept:
                room -= REASON + len(rule)
                if room < TRACE_ID:
                    break
            ids = bytes(waiting.ids[: max(1, int(room) // TRACE_ID) * TRACE_ID])
            message.kept.kept.add(rule=rule, threshold=threshold, erase=erase, decided=waiting.decided, trace_ids=ids)
            room -= len(ids)
            self._traces -= len(ids) // TRACE_ID
            self.counts.told += len(ids) // TRACE_ID
            del waiting.ids[: len(ids)]
            if waiting.ids:
                break
            del self._waiting[rule, threshold, erase]
        self._went = self._since = now
        return message.SerializeToString()

    def clear(self) -> None:
        """Nobody is there to be told."""
        self.counts.dropped += self._traces
        self._waiting.clear()
        self._traces = 0


def gathering(members: int) -> float:
    """Seconds for which decisions are gathered in a group of that many."""
    return max(SOONEST, members / MESSAGES)


def rate(sidecars: int) -> float:
    """Traces a second that each group is told of while so many are attached in all."""
    return min(float(MOST_IDS), MOST_BYTES / (TRACE_ID * max(1, sidecars)))

"""Decides about traces that are due: by the verdict that they have had already, by the rules, or by the default; and by
what other sidecars keep, where that is more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tracekeeper_sidecar.decide.adaptive import Adaptive
from tracekeeper_sidecar.decide.key_rate import FORGET
from tracekeeper_sidecar.decide.past import Past
from tracekeeper_sidecar.decide.rules import DEFAULT, MAX_SPANS, OVERLOAD, Rules
from tracekeeper_sidecar.decide.share import Share
from tracekeeper_sidecar.decide.spread import Spread
from tracekeeper_sidecar.decide.thresholds import probability_of, threshold_of
from tracekeeper_sidecar.wire.keys import Keys
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.told import Told
from tracekeeper_sidecar.wire.traces import THRESHOLD, Traces, rule_of, verdict
from tracekeeper_sidecar.wire.verdict import Judge

ADJUST = 1.0
"""Seconds between changes of probability."""
NEVER = float("-inf")
SOON = 3.0
"""Seconds from a trace's start after which it is taken to have been decided on, after 2 s without a span: most are
short. Rather too late than too early: a threshold for a rare key's single trace comes with its decision."""
MOST_PROMISED = 65_536
"""Open traces that are kept because others keep them, and may yet be kept at a lower threshold; more are decided at
once."""


class Decider:
    """Owned by the stage. Times are monotonic seconds, unless said otherwise."""

    def __init__(
        self, rules: Rules, remembered: Remembered, told: Told, spread: Spread, now: float, unix_time: float
    ) -> None:
        self.kept: Counter[int] = Counter()
        """Traces, by the number of the rule."""
        self.left_out: Counter[int] = Counter()
        self.late = 0
        """Traces of which more came after they had been decided, and let go."""
        self.keys: Keys | None = None
        """What gives traces their keys, where there are any."""
        self.share = Share(rules.spec.default.adaptive.target_traces_per_second)
        """This sidecar's part of the target."""
        self._remembered, self._told, self._spread = remembered, told, spread
        self._promised: dict[bytes, int] = {}
        self._adaptive: Adaptive | None = None
        self._fixed = self._highest = self._common = 0
        self._swept = self._adjusted = now
        self._pinned_since: float | None = None
        self._unused: set[int] = set()
        self._past = Past()
        self._turns, self._turned, self._forgotten = remembered.turns, NEVER, NEVER
        self.configure(rules, now, unix_time)

    @property
    def adaptive(self) -> Adaptive | None:
        """What gives the default its probabilities, when that follows the traffic."""
        return self._adaptive

    @property
    def probability(self) -> float:
        """The lowest that the default uses."""
        return probability_of(self._fixed) if self._adaptive is None else self._adaptive.lowest

    def pinned(self, now: float) -> float:
        """Seconds for which `minProbability` has kept more than the target asks for."""
        return 0.0 if self._pinned_since is None else now - self._pinned_since

    def part(self, now: float) -> float | None:
        """Traces a second that the default may keep; None where its probability is fixed. So is `floor`."""
        return self.share.at(now) if self._rules.adaptive else None

    def floor(self, now: float) -> float | None:
        """The probability below which no sidecar goes that shares the target."""
        least = self._rules.spec.default.adaptive.min_probability
        return self.share.floor_at(now, least) if self._rules.adaptive else None

    def configure(self, rules: Rules, now: float, unix_time: float) -> None:
        """Decide by these rules from now on; rates that have been learned stay."""
        self._rules = rules
        self._judge = Judge(rules.codes.codes)
        limits = rules.spec.default.adaptive
        self.share.retarget(limits.target_traces_per_second)
        if not rules.adaptive:
            self._adaptive = self.keys = None
        elif self._adaptive is None or self.keys is None or self.keys.group_by != limits.group_by:
            self._adaptive, self.keys = Adaptive(limits, now, self.share.at(now)), Keys(limits.group_by)
            self._unused.clear()
            self._past = Past()
        else:
            self._adaptive.configure(limits)
        self.adjust(now, unix_time)

    def adjust(self, now: float, unix_time: float) -> None:
        """To be called about once a second."""
        self._adjusted = now
        if self._turns != self._remembered.turns:
            # Of what was decided before the turn before this one nothing is remembered any more.
            self._turns, self._forgotten, self._turned = self._remembered.turns, self._turned, unix_time
        if self._adaptive is None or self.keys is None:
            self._fixed = self._rules.default_threshold(unix_time)
            # Around a change of the schedule some decide by the one probability, and some by the other.
            wait = self._rules.spec.decision_wait
            around = (self._rules.default_threshold(unix_time + shift) for shift in (-wait, wait))
            self._highest = max(self._fixed, *around)
        else:
            least = self._rules.spec.default.adaptive.min_probability
            for key in self._adaptive.adjust(now, self.share.at(now), self.share.floor_at(now, least)):
                self.keys.release(key)
                self._past.forget(key)
            self._release_unused(self._adaptive, self.keys, now)
        if self._adaptive is None or not self._adaptive.pinned:
            self._pinned_since = None
        elif self._pinned_since is None:
            self._pinned_since = now
        self.note_floor(now)

    def note_floor(self, now: float) -> None:
        """From which threshold down others are told of what is kept."""
        if not self._spread.listening or (self._rules.by_id and self._highest == self._fixed):
            self._common = 0  # Nobody has to be told of anything.
        elif self._adaptive is None:
            self._common = self._highest
        else:
            least = self._rules.spec.default.adaptive.min_probability
            self._common = threshold_of(self.share.common_floor_at(now, least))

    def tick(self, now: float, unix_time: float) -> None:
        """The same, if it is a second since."""
        if now - self._adjusted >= ADJUST:
            self.adjust(now, unix_time)

    def decide(self, table: Traces, slots: Sequence[int], overload: bool = False) -> None:
        """Give each of these open traces its verdict. In `overload` no rule is asked."""
        others = self._told.any or len(self._promised) > 0
        for slot in slots:
            trace_id = table.trace_id(slot)
            known = self._remembered.get(trace_id)
            if known:
                self.late += 1
                table.follow(slot, known)
            elif table.spans(slot) >= self._rules.spec.max_spans_per_trace:
                self.kept[MAX_SPANS] += 1
                self._promised.pop(trace_id, None)
                table.decide(slot, verdict(MAX_SPANS, 0, keep=True, erase=True))
                if self._common:
                    self._spread.add(trace_id, MAX_SPANS, 0, erase=True)
            else:
                self._judge_one(table, slot, trace_id, overload, self._told_of(trace_id) if others else 0)

    def by_trace_id(self, trace_id: bytes) -> int:
        """The verdict on a trace of which nothing but its id is known."""
        threshold, randomness = threshold_of(self.probability), int.from_bytes(trace_id[9:])
        return self._weighed(trace_id, OVERLOAD, threshold, randomness, self._told_of(trace_id))

    def promise(self, table: Traces, slot: int, trace_id: bytes, told: int) -> bool:
        """Others keep this open trace by the verdict `told`. True when it is decided with that; else it is kept when it
        is due, maybe at a lower threshold."""
        known = self._promised.get(trace_id, told)
        if known & THRESHOLD < told & THRESHOLD:
            told = known
        # A trace that the default keeps is one of its key, and its rate counts, wherever it is decided.
        if (told & THRESHOLD == 0 and rule_of(told) != DEFAULT) or len(self._promised) >= MOST_PROMISED:
            self._promised.pop(trace_id, None)
            self.kept[rule_of(told)] += 1
            table.decide(slot, told)
            return True
        self._promised[trace_id] = told
        return False

    def _told_of(self, trace_id: bytes) -> int:
        """The verdict by which others keep it, or 0."""
        return self._promised.pop(trace_id, 0) or self._told.get(trace_id)

    def _judge_one(self, table: Traces, slot: int, trace_id: bytes, overload: bool, told: int) -> None:
        first = -1 if overload else self._judge.first(table, slot)
        if first >= 0:
            number, threshold = self._rules.numbers[first], self._rules.thresholds[first]
        else:
            number, threshold = OVERLOAD if overload else DEFAULT, self._threshold(table, slot)
        table.decide(slot, self._weighed(trace_id, number, threshold, table.randomness(slot), told))

    def _weighed(self, trace_id: bytes, number: int, threshold: int, randomness: int, told: int) -> int:
        """The verdict at that threshold, or the one that others have told if only that keeps the trace, or at a lower
        threshold. What others may leave out is spread; what is told is never told on."""
        keep = randomness >= threshold
        if told and not (keep and threshold <= told & THRESHOLD):
            self.kept[rule_of(told)] += 1
            return told
        (self.kept if keep else self.left_out)[number] += 1
        # What the default keeps others keep, too, from the floor on; a rule's threshold is to be in all spans.
        if keep and threshold < self._common and (number < DEFAULT or randomness < self._common):
            self._spread.add(trace_id, number, threshold)
        return verdict(number, threshold, keep=keep)

    def _threshold(self, table: Traces, slot: int) -> int:
        if self._forgotten > NEVER and (past := self._past_threshold(table, slot)) is not None:
            return past
        if self._adaptive is None:
            return self._fixed
        key = table.key(slot)
        self._adaptive.count(key, 1, table.weight(slot))
        threshold = self._adaptive.threshold(key)
        if threshold != self._past.newest(key):
            self._past.note(self._spread.now(), key, threshold)
        return threshold

    def _past_threshold(self, table: Traces, slot: int) -> int | None:
        """For late spans of a trace that has been decided on and forgotten: the one by which it was, most likely.

        Whether they are that is a guess. A sender whose clock is behind looks the same; but its traces have roots.
        """
        decided = table.start(slot) / 1e9 + SOON
        if not SOON < decided < self._forgotten or table.summary(slot).rank:
            return None
        if self._adaptive is None:
            return self._rules.default_threshold(decided)
        return self._past.at(table.key(slot), decided)

    def _release_unused(self, adaptive: Adaptive, keys: Keys, now: float) -> None:
        """A key all of whose traces are a rule's has no rate that is forgotten: its number goes when that has been so
        for long. If it comes again it gets another one."""
        if now - self._swept < max(FORGET, 2 * self._rules.spec.decision_wait):
            return
        self._swept, rated = now, adaptive.rates().keys()
        unused = {key for key in keys.numbers() if key not in rated}
        gone = unused & self._unused
        for key in gone:
            keys.release(key)
        self._unused = unused - gone

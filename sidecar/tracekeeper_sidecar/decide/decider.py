"""Decides about traces that are due: by the verdict that they have had already, by the rules, or by the default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tracekeeper_sidecar.decide.adaptive import Adaptive
from tracekeeper_sidecar.decide.rules import DEFAULT, MAX_SPANS, OVERLOAD, Rules
from tracekeeper_sidecar.decide.thresholds import probability_of, threshold_of
from tracekeeper_sidecar.wire.keys import Keys
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.traces import Traces, verdict
from tracekeeper_sidecar.wire.verdict import Judge


class Decider:
    """Owned by the stage. Times are monotonic seconds, unless said otherwise."""

    def __init__(self, rules: Rules, remembered: Remembered, now: float, unix_time: float) -> None:
        self.kept: Counter[int] = Counter()
        """Traces, by the number of the rule."""
        self.left_out: Counter[int] = Counter()
        self.late = 0
        """Traces of which more came after they had been decided, and let go."""
        self.keys: Keys | None = None
        """What gives traces their keys, where there are any."""
        self._remembered = remembered
        self._adaptive: Adaptive | None = None
        self._fixed = 0
        self.configure(rules, now, unix_time)

    @property
    def adaptive(self) -> Adaptive | None:
        """What gives the default its probabilities, when that follows the traffic."""
        return self._adaptive

    @property
    def probability(self) -> float:
        """The lowest that the default uses."""
        return probability_of(self._fixed) if self._adaptive is None else self._adaptive.lowest

    def configure(self, rules: Rules, now: float, unix_time: float) -> None:
        """Decide by these rules from now on; rates that have been learned stay."""
        self._rules = rules
        self._judge = Judge(rules.codes.codes)
        limits = rules.spec.default.adaptive
        if not rules.adaptive:
            self._adaptive = self.keys = None
        elif self._adaptive is None or self.keys is None or self.keys.group_by != limits.group_by:
            self._adaptive, self.keys = Adaptive(limits, now), Keys(limits.group_by)
        else:
            self._adaptive.configure(limits)
        self.adjust(now, unix_time)

    def adjust(self, now: float, unix_time: float, share: float | None = None) -> None:
        """To be called about once a second. `share` is this sidecar's part of the target, traces a second."""
        if self._adaptive is None:
            self._fixed = self._rules.default_threshold(unix_time)
        else:
            target = self._rules.spec.default.adaptive.target_traces_per_second
            self._adaptive.adjust(now, target if share is None else share)

    def decide(self, table: Traces, slots: Sequence[int], overload: bool = False) -> None:
        """Give each of these open traces its verdict. In `overload` no rule is asked."""
        for slot in slots:
            known = self._remembered.get(table.trace_id(slot))
            if known:
                self.late += 1
                table.decide(slot, known)
            elif table.spans(slot) >= self._rules.spec.max_spans_per_trace:
                self.kept[MAX_SPANS] += 1
                table.decide(slot, verdict(MAX_SPANS, 0, keep=True, erase=True))
            else:
                self._judge_one(table, slot, overload)

    def by_trace_id(self, trace_id: bytes) -> int:
        """The verdict on a trace of which nothing but its id is known."""
        threshold = threshold_of(self.probability)
        keep = int.from_bytes(trace_id[9:]) >= threshold
        (self.kept if keep else self.left_out)[OVERLOAD] += 1
        return verdict(OVERLOAD, threshold, keep=keep)

    def _judge_one(self, table: Traces, slot: int, overload: bool) -> None:
        first = -1 if overload else self._judge.first(table, slot)
        if first >= 0:
            number, threshold = self._rules.numbers[first], self._rules.thresholds[first]
        else:
            number, threshold = OVERLOAD if overload else DEFAULT, self._threshold(table, slot)
        keep = table.randomness(slot) >= threshold
        (self.kept if keep else self.left_out)[number] += 1
        table.decide(slot, verdict(number, threshold, keep=keep))

    def _threshold(self, table: Traces, slot: int) -> int:
        if self._adaptive is None:
            return self._fixed
        key = table.key(slot)
        self._adaptive.count(key, 1)
        return self._adaptive.threshold(key)

"""The section `sampling` of a config, ready to decide about traces.

A verdict names its rule by a number, from 0 to 31. A rule keeps its number while its name stays in the config, so that
late spans are booked under the rule that decided about their trace. After a restart numbers go by the order of the
rules; late spans of a trace that was decided before may then be booked under another one, if the config has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tracekeeper_sidecar.decide.thresholds import threshold_of
from tracekeeper_spec.condition import compile_trace
from tracekeeper_spec.condition.code import TraceCodes
from tracekeeper_spec.condition.trace import combine
from tracekeeper_spec.sampling import DefaultType, Sampling
from tracekeeper_spec.schedule import probability_at

DEFAULT: Final = 29
"""The number of `sampling.default`."""
MAX_SPANS: Final = 30
"""Of what keeps a trace because it has too many spans to wait for more."""
OVERLOAD: Final = 31
"""Of what decides by trace id alone while there are too many open traces."""
NAMES: Final = {DEFAULT: "default", MAX_SPANS: "max-spans", OVERLOAD: "overload"}
"""As metrics call those that are no rules of the config."""
UNKNOWN: Final = "unknown"
"""A rule of an earlier config."""


class Numbers:
    """Which number each rule has. The numbers of rules that are gone are given away last."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def assign(self, names: Sequence[str]) -> tuple[int, ...]:
        """The numbers of these rules, at most as many as there are numbers for."""
        wanted = set(names)
        known = {name: number for number, name in self._names.items() if name in wanted}
        free = [number for number in range(DEFAULT) if number not in self._names]
        free += [number for number, name in self._names.items() if name not in wanted]
        spare = iter(free)
        numbers = tuple(known[name] if name in known else next(spare) for name in names)
        self._names.update(zip(numbers, names, strict=True))
        return numbers

    def number(self, name: str) -> int:
        """That of a rule of this config or of an earlier one; of any other one a number that stands for no rule, if
        there is one, else DEFAULT."""
        for number, known in (*NAMES.items(), *self._names.items()):
            if known == name:
                return number
        return next((number for number in reversed(range(DEFAULT)) if number not in self._names), DEFAULT)

    def name(self, number: int) -> str:
        """What metrics and the ledger call it."""
        return NAMES.get(number) or self._names.get(number, UNKNOWN)


class Rules:
    """One `sampling` section. Raises ConditionError for what the policy's checks would not pass."""

    def __init__(self, spec: Sampling, numbers: Numbers) -> None:
        self.spec = spec
        self.codes: TraceCodes = combine([compile_trace(rule.match) for rule in spec.rules])
        self.numbers = numbers.assign([rule.name for rule in spec.rules])
        self.thresholds = tuple(threshold_of(rule.probability) for rule in spec.rules)

    @property
    def by_id(self) -> bool:
        """Whether a trace's id alone decides: then nothing is gained by waiting for the rest of it."""
        return not self.spec.rules and not self.adaptive

    @property
    def adaptive(self) -> bool:
        """Whether the default follows the traffic."""
        return self.spec.default.type is DefaultType.ADAPTIVE

    def default_threshold(self, unix_time: float) -> int:
        """Of the default, when it does not."""
        return threshold_of(probability_at(self.spec.default.probabilistic, unix_time))

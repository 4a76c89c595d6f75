"""The families' rows in memory, and how they become a reading: what is counted in, by the names that labels have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tracekeeper_sidecar.meter import families
from tracekeeper_sidecar.meter.reading import Exemplar, Histogram, Row
from tracekeeper_sidecar.metrics import Metric
from tracekeeper_sidecar.wire.component import KINDS
from tracekeeper_sidecar.wire.counts import STATUSES, TYPES
from tracekeeper_sidecar.wire.rows import MINUTES, Births, Family
from tracekeeper_sidecar.wire.tally import Tally

ROWS: Final = 500
"""Of a family, beside the one for everything else."""
HISTOGRAM_ROWS: Final = 60
FIXED: Final[Mapping[str, Sequence[str]]] = {"kind": KINDS, "status": STATUSES, "type": TYPES}
"""Labels whose values do not come from spans."""
NANO: Final = 1_000_000_000

COUNTED: Final[Mapping[str, Metric]] = {
    "requests": families.REQUESTS,
    "request_duration": families.REQUEST_DURATION,
    "operations": families.OPERATIONS,
    "operation_duration": families.OPERATION_DURATION,
    "spans": families.METERED_SPANS,
    "request_calls": families.REQUEST_CALLS,
    "request_calls_highest": families.REQUEST_CALLS_HIGHEST,
    "tokens": families.TOKENS,
    "token_details": families.TOKEN_DETAILS,
    "cost": families.COST,
    "unpriced_calls": families.UNPRICED_CALLS,
    "unpriced_tokens": families.UNPRICED_TOKENS,
    "reasons": families.FINISH_REASONS,
    "model_changes": families.MODEL_CHANGES,
    "tool_calls": families.TOOL_CALLS,
    "trace_duration": families.TRACE_DURATION,
    "conversations": families.CONVERSATIONS,
    "conversation_duration": families.CONVERSATION_DURATION,
    "conversation_cost": families.CONVERSATION_COST,
    "conversation_cost_highest": families.CONVERSATION_COST_HIGHEST,
    "detections": families.DETECTIONS,
}
"""The metrics by what `wire.counts` calls them."""
_RECENT: Final = frozenset({"request_calls_highest", "conversation_cost_highest"})


def scale(metric: Metric) -> int:
    """In how many parts the unit is counted: seconds and dollars in billionths."""
    return NANO if metric.unit in ("seconds", "dollars") else 1


def make() -> dict[str, Family]:
    """Empty ones."""
    births = Births()
    return {name: _make(metric, name in _RECENT, births) for name, metric in COUNTED.items()}


def _make(metric: Metric, recent: bool, births: Births) -> Family:
    fixed = sum(255 << 8 * place for place, label in enumerate(metric.labels[1:]) if label in FIXED)
    bounds = [round(bound * scale(metric)) for bound in metric.bounds]
    most = HISTOGRAM_ROWS if bounds else ROWS
    return Family(len(metric.labels) - 1, births, most, bounds, recent, fixed)


@dataclass(frozen=True, slots=True)
class Copy:
    """What a tally has counted up to a moment."""

    families: Mapping[str, Family]
    answers: Family
    texts: Mapping[str, Sequence[str | None]]
    """Values of labels by their numbers."""


def copy_of(tally: Tally) -> Copy:
    """Made in less than a millisecond, apart from what comes."""
    return Copy(
        {name: family.copy() for name, family in tally.families.items()},
        tally.answers.copy(),
        {name: tuple(labels.texts) for name, labels in tally.labels.items()},
    )


class Later(Mapping[Metric, "tuple[Row, ...]"]):
    """The families of a reading, whose rows are made when somebody looks at them: in whatever thread that is."""

    def __init__(
        self, copy: Copy, alerts: str, minute: int, own: Mapping[Metric, tuple[Row, ...]], old: int = 0
    ) -> None:
        """`minute` is the one that runs; `own` has what is said of the meter itself; rows up to the number `old` may
        have been shown by an earlier process.
        """
        self._copy, self._alerts, self._minute, self._old = copy, alerts, minute, old
        self._made = dict(own)
        self._names = {metric: name for name, metric in COUNTED.items()}

    def __len__(self) -> int:
        return len(families.METERED)

    def __iter__(self) -> Iterator[Metric]:
        return iter(families.METERED)

    def __getitem__(self, metric: Metric) -> tuple[Row, ...]:
        if metric not in self._made:
            family = self._copy.families[self._names[metric]]
            made = rows(metric, family, self._named, self._alerts, self._minute)
            self._made[metric] = tuple(row if row.born > self._old else row._replace(born=0) for row in made)
        return self._made[metric]

    def _named(self, label: str, number: int) -> str:
        return (FIXED.get(label) or self._copy.texts[label])[number] or ""


def rows(metric: Metric, family: Family, named: Callable[[str, int], str], alerts: str, minute: int) -> tuple[Row, ...]:
    """What is to be shown. `named` gives a label's value by its number; `minute` is the one that runs."""
    made, labels = [], metric.labels[1:]
    for row in family.rows():
        key = family.key(row)
        values = (alerts, *(named(label, key >> 8 * place & 255) for place, label in enumerate(labels)))
        made.append(Row(values, _value(metric, family, row, minute), family.born(row)))
    return tuple(made)


def _value(metric: Metric, family: Family, row: int, minute: int) -> float | Histogram:
    numbers, parts = family.numbers(row), scale(metric)
    if metric.type == "histogram":
        *counts, total = numbers
        found = tuple(_exemplar(each, parts) for each in family.exemplars(row)) if metric.exemplars else ()
        return Histogram(tuple(counts), total / parts, found)
    if metric.type == "counter":
        return numbers[0] / parts if parts > 1 else float(numbers[0])
    recent = (value for at, value in zip(numbers[::2], numbers[1::2], strict=True) if minute - MINUTES < at <= minute)
    return max(recent, default=0) / parts


def _exemplar(found: tuple[int, int, int, int, int], parts: int) -> Exemplar | None:
    hi, lo, span, value, when = found
    if not (hi or lo):
        return None
    return Exemplar(hi.to_bytes(8) + lo.to_bytes(8), span.to_bytes(8), value / parts, when / 1000)

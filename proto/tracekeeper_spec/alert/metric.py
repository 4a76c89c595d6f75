"""What conditions of alerts can speak of: the metrics, their units, and the counters that they are worked out from.

The counters are the sidecar's own, declared in `tracekeeper_sidecar.meter.families`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tracekeeper_spec.alert.expression import Matcher
from tracekeeper_spec.alert.section import Group

INF = float("inf")

BOUNDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0,
    1800.0, 3600.0, 7200.0, 14400.0,
)  # fmt: skip
"""Upper bounds of the buckets of durations, in seconds."""

METERING: Final = "tracekeeper_metering"
"""1 in every pod that counts, whatever comes."""

SERVICE, AGENT, WORKFLOW, MODEL, PROVIDER, TOOL, DETECTOR = Group


class Unit(StrEnum):
    """As messages call it."""

    SHARE = "a share"
    NUMBER = "a number"
    PER_SECOND = "a number per second"
    DOLLARS = "an amount in dollars"
    DURATION = "a duration"


class Form(StrEnum):
    """How a value is worked out of its counters."""

    SHARE = "share"
    """Of what the first counter counts, the part that `part` picks."""
    REST = "rest"
    """The other part."""
    RATIO = "ratio"
    """The first counter by the second."""
    RATE = "rate"
    """Of the first counter, in a second, times `scale`."""
    COUNT = "count"
    """By how much the first counter has grown."""
    HIGHEST = "highest"
    """Of a gauge; what it is the highest of is counted by the second."""
    QUANTILE = "quantile"
    """Of a histogram: `scale`."""
    SLOW = "slow"
    """Of a histogram: the share above a bound."""


@dataclass(frozen=True, slots=True)
class Source:
    """Counters, and by what they can be told apart."""

    counter: str
    groups: tuple[Group, ...]
    fixed: tuple[Matcher, ...] = ()
    over: str = ""
    """The second counter; empty where there is none."""
    over_fixed: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One name of the language."""

    name: str
    about: str
    unit: Unit
    form: Form
    sources: tuple[Source, ...]
    """The first that can be grouped as a rule wants it is taken."""
    scale: float = 1.0
    part: tuple[Matcher, ...] = ()
    whole: bool = False
    """Whether it may be compared with == and != to any number; others only to their lowest and highest value."""
    instead: str = ""
    """Another metric, which can be grouped otherwise."""

    @property
    def least(self) -> float:
        return 0.0

    @property
    def most(self) -> float:
        if self.unit is Unit.SHARE:
            return 1.0
        return BOUNDS[-1] if self.form is Form.QUANTILE else INF

    @property
    def histogram(self) -> bool:
        return self.form in (Form.QUANTILE, Form.SLOW)

    @property
    def groups(self) -> tuple[Group, ...]:
        """By any of these, though not by all of them together."""
        return tuple(group for group in Group if any(group in source.groups for source in self.sources))


def _is(label: str, *values: str) -> tuple[Matcher, ...]:
    sign = "=" if len(values) == 1 else "=~"
    return (Matcher(label, sign, "|".join(values)),)


_ERRORS = _is("status", "error")
_CALLS = _is("kind", "llm", "embedding")
_TRUNCATED = _is("reason", "length", "max_tokens", "MAX_TOKENS")

_REQUESTS = Source("tracekeeper_requests_total", (SERVICE, AGENT, WORKFLOW))
_OPERATIONS = Source("tracekeeper_operations_total", (SERVICE, AGENT, MODEL, PROVIDER))
_TOOLS = Source("tracekeeper_tool_calls_total", (SERVICE, AGENT, TOOL))
_DURATIONS = (
    Source("tracekeeper_request_duration_seconds", (SERVICE, AGENT, WORKFLOW)),
    Source("tracekeeper_operation_duration_seconds", (SERVICE, AGENT, MODEL), _CALLS),
)
COST: Final = "tracekeeper_cost_dollars_total"
_SPENT = Source(COST, (SERVICE, AGENT, WORKFLOW, MODEL, PROVIDER))
_CALL_GROUPS = (SERVICE, AGENT, MODEL, PROVIDER)


def _per_request(counter: str) -> tuple[Source, ...]:
    return (Source(counter, _REQUESTS.groups, over=_REQUESTS.counter),)


def _per_call(type: tuple[Matcher, ...], calls: tuple[Matcher, ...]) -> tuple[Source, ...]:
    return (Source("tracekeeper_tokens_total", _CALL_GROUPS, type, _OPERATIONS.counter, calls),)


def _quantile(digits: str) -> Metric:
    quantile = float(f"0.{digits}")
    return Metric(
        f"p{digits}_latency",
        f"What {quantile * 100:g} of 100 requests do not exceed in duration; by model, of calls of models.",
        Unit.DURATION,
        Form.QUANTILE,
        _DURATIONS,
        quantile,
    )


_TABLE = (
    Metric(
        "error_rate",
        "Share of requests that end with an error; by model or provider, of operations; by tool, of calls of tools.",
        Unit.SHARE,
        Form.SHARE,
        (_REQUESTS, _OPERATIONS, _TOOLS),
        part=_ERRORS,
    ),
    Metric(
        "request_rate",
        "Requests in a second; 0 where pods run and none comes.",
        Unit.PER_SECOND,
        Form.RATE,
        (_REQUESTS,),
    ),
    Metric(
        "span_rate",
        "Spans in a second; 0 where pods run and none comes, though some came within the last day.",
        Unit.PER_SECOND,
        Form.RATE,
        (Source("tracekeeper_metered_spans_total", (SERVICE,)),),
    ),
    *(_quantile(digits) for digits in ("50", "90", "95", "99", "999")),
    Metric(
        "slow_rate",
        "`slow_rate(1s)`: share of requests that take longer than that; by model, of calls of models.",
        Unit.SHARE,
        Form.SLOW,
        _DURATIONS,
    ),
    Metric(
        "calls_per_request",
        "The most calls of models and tools that one request has made.",
        Unit.NUMBER,
        Form.HIGHEST,
        (Source("tracekeeper_request_calls_highest", _REQUESTS.groups, over=_REQUESTS.counter),),
        whole=True,
    ),
    Metric(
        "tokens_per_request",
        "Tokens, of input and output, on average.",
        Unit.NUMBER,
        Form.RATIO,
        _per_request("tracekeeper_tokens_total"),
        instead="tokens_per_call",
    ),
    Metric(
        "tokens_per_call",
        "The same for each call of a model.",
        Unit.NUMBER,
        Form.RATIO,
        _per_call((), _CALLS),
        instead="tokens_per_request",
    ),
    Metric(
        "output_tokens_per_call",
        "Tokens of an answer, on average: how long answers are.",
        Unit.NUMBER,
        Form.RATIO,
        _per_call(_is("type", "output"), _is("kind", "llm")),
    ),
    Metric(
        "tokens_per_minute",
        "Tokens, of input and output.",
        Unit.NUMBER,
        Form.RATE,
        (Source("tracekeeper_tokens_total", _SPENT.groups),),
        60.0,
    ),
    Metric(
        "cost_per_request",
        "What a request costs on average.",
        Unit.DOLLARS,
        Form.RATIO,
        _per_request(COST),
        instead="cost_per_hour",
    ),
    Metric(
        "cost_per_hour", "What would be spent in an hour, going on like this.", Unit.DOLLARS, Form.RATE, (_SPENT,), 3600
    ),
    Metric(
        "cost_per_conversation",
        "What the costliest conversation has cost so far, in one pod.",
        Unit.DOLLARS,
        Form.HIGHEST,
        (
            Source(
                "tracekeeper_conversation_cost_highest_dollars",
                (SERVICE, AGENT),
                over="tracekeeper_conversations_total",
            ),
        ),
        instead="cost_per_hour",
    ),
    Metric(
        "avg_cost_per_conversation",
        "What a conversation costs on average.",
        Unit.DOLLARS,
        Form.RATIO,
        (
            Source(
                "tracekeeper_conversation_cost_dollars_total",
                (SERVICE, AGENT),
                over="tracekeeper_conversations_total",
            ),
        ),
        instead="cost_per_hour",
    ),
    Metric(
        "daily_cost",
        "What was spent today, by the clock of the config's only budget of a day. Without one, or by groups: in the "
        "last 24 hours.",
        Unit.DOLLARS,
        Form.COUNT,
        (_SPENT,),
    ),
    Metric(
        "unpriced_calls",
        "Calls of models whose price is not known; they cost nothing in all other metrics.",
        Unit.NUMBER,
        Form.COUNT,
        (Source("tracekeeper_unpriced_calls_total", (SERVICE, MODEL, PROVIDER)),),
    ),
    Metric(
        "tool_success_rate", "Share of calls of tools that succeed.", Unit.SHARE, Form.REST, (_TOOLS,), part=_ERRORS
    ),
    Metric("tool_error_rate", "Share of calls of tools that fail.", Unit.SHARE, Form.SHARE, (_TOOLS,), part=_ERRORS),
    Metric(
        "truncated_rate",
        "Share of answers that end because they have become too long.",
        Unit.SHARE,
        Form.SHARE,
        (Source("tracekeeper_finish_reasons_total", (SERVICE, AGENT, MODEL)),),
        part=_TRUNCATED,
    ),
    Metric(
        "model_changes",
        "How often another model has answered than the one before.",
        Unit.NUMBER,
        Form.COUNT,
        (Source("tracekeeper_response_model_changes_total", (SERVICE, MODEL)),),
    ),
    Metric(
        "detections",
        "How often a detector has spoken, where a processor of type Detect looks.",
        Unit.NUMBER,
        Form.COUNT,
        (Source("tracekeeper_detections_total", (SERVICE, AGENT, DETECTOR)),),
    ),
)

METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _TABLE}

SEEN_FIRST: Final = "span_rate"
"""Is 0 only where something came before."""
ALWAYS_THERE: Final = ("request_rate", SEEN_FIRST)
"""Have a value where nothing comes: 0."""


class BudgetMember(StrEnum):
    """What stands behind `budget("daily").`"""

    SPENT = "spent"
    LIMIT = "limit"
    FORECAST = "forecast"
    REMAINING = "remaining"
    USED = "used"
    BURN = "burn"

    @property
    def unit(self) -> Unit:
        return Unit.NUMBER if self in (BudgetMember.USED, BudgetMember.BURN) else Unit.DOLLARS

    @property
    def about(self) -> str:
        return _MEMBERS[self]


_MEMBERS = {
    BudgetMember.SPENT: "What was spent in the period so far.",
    BudgetMember.LIMIT: "What may be spent in it.",
    BudgetMember.FORECAST: "What will be spent when it ends, going on like this.",
    BudgetMember.REMAINING: "What may still be spent; below 0 when it was too much.",
    BudgetMember.USED: "Share of the limit that was spent; above 1 when it was too much.",
    BudgetMember.BURN: '`burn("1h")`: share of the limit that was spent in so long.',
}
BURN_WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

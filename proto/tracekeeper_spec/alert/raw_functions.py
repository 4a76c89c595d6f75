"""Functions and aggregations of PromQL as Prometheus 2.42 has them, and later versions still do.

From promql/parser/functions.go and lex.go there. `holt_winters` is left out: it has another name in Prometheus 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Type(StrEnum):
    """As messages call it."""

    SCALAR = "a number"
    VECTOR = "an instant vector"
    MATRIX = "a range vector"
    STRING = "a text"


@dataclass(frozen=True, slots=True)
class Function:
    arguments: tuple[Type, ...]
    result: Type = Type.VECTOR
    optional: int = 0
    """How many of the last arguments may be left out."""
    endless: bool = False
    """Whether more of the last type may follow."""


_S, _V, _M, _T = Type.SCALAR, Type.VECTOR, Type.MATRIX, Type.STRING

_ON_VECTOR = (
    "abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_count histogram_sum ln log10 "
    "log2 rad sgn sin sinh sort sort_desc sqrt tan tanh timestamp"
)
_ON_RANGE = (
    "absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate last_over_time "
    "max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time sum_over_time"
)
_ON_TIME = "day_of_month day_of_week day_of_year days_in_month hour minute month year"

FUNCTIONS: Final[dict[str, Function]] = {
    **{name: Function((_V,)) for name in _ON_VECTOR.split()},
    **{name: Function((_M,)) for name in _ON_RANGE.split()},
    **{name: Function((_V,), optional=1) for name in _ON_TIME.split()},
    "clamp": Function((_V, _S, _S)),
    "clamp_max": Function((_V, _S)),
    "clamp_min": Function((_V, _S)),
    "histogram_fraction": Function((_S, _S, _V)),
    "histogram_quantile": Function((_S, _V)),
    "label_join": Function((_V, _T, _T, _T), endless=True),
    "label_replace": Function((_V, _T, _T, _T, _T)),
    "pi": Function((), _S),
    "predict_linear": Function((_M, _S)),
    "quantile_over_time": Function((_S, _M)),
    "round": Function((_V, _S), optional=1),
    "scalar": Function((_V,), _S),
    "time": Function((), _S),
    "vector": Function((_S,)),
}

AGGREGATIONS: Final[dict[str, Type | None]] = {
    **dict.fromkeys(("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar")),
    "topk": _S,
    "bottomk": _S,
    "quantile": _S,
    "count_values": _T,
}
"""By name, the type of the parameter that comes before the vector."""

KEYWORDS: Final = frozenset(
    "and or unless atan2 by without on ignoring group_left group_right offset bool start end".split()
)
"""Besides the aggregations; letters of any case are the same."""

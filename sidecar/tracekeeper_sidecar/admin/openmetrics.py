"""Writes metrics as text: Prometheus' format 0.0.4, and OpenMetrics 1.0, which can show exemplars.

Sources: prometheus.io/docs/instrumenting/exposition_formats and the OpenMetrics specification, version 1.0.0. Scrapers
drop a whole scrape for one label that they cannot read, and labels come from applications, so whatever UTF-8 or the
scrapers' lexers do not take is replaced here. A client library would take ten times as long for the histograms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from itertools import accumulate, chain, repeat
from math import isfinite, isnan
from typing import Final

from tracekeeper_sidecar.meter.reading import Exemplar, Histogram
from tracekeeper_sidecar.metrics import Metric

Sample = tuple[tuple[str, ...], float | Histogram]
"""Label values in the declared order, and the value."""
Family = tuple[Metric, Iterable[Sample]]

_AWKWARD: Final = re.compile('[\\\\"\n\0]')
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\0": "\N{REPLACEMENT CHARACTER}"})
_HELP_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n"})


class Form(Enum):
    """A format, as its media type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def write(families: Iterable[Family], form: Form) -> bytes:
    """The page, of families that come once each. Takes milliseconds for thousands of rows: not for the event loop."""
    end = ("# EOF\n",) if form is Form.OPENMETRICS else ()
    text = "".join(chain(chain.from_iterable(_family(metric, rows, form) for metric, rows in families), end))
    return text.encode("utf-8", "replace")


def _family(metric: Metric, samples: Iterable[Sample], form: Form) -> Iterator[str]:
    yield _head(metric, form)
    exemplars = form is Form.OPENMETRICS
    pairs = ",".join(f'{label}="%s"' for label in metric.labels)
    series = f"{metric.name}{{{pairs}}}" if pairs else metric.name
    for values, value in samples:
        if _AWKWARD.search("".join(values)):
            values = tuple(text.translate(_ESCAPES) for text in values)
        if isinstance(value, Histogram):
            yield from _histogram(metric, pairs % values, value, exemplars=exemplars)
        else:
            yield f"{series % values} {number(value)}\n"


def _head(metric: Metric, form: Form) -> str:
    name, unit = metric.name, ""
    help = metric.help.translate(_HELP_ESCAPES)
    if form is Form.OPENMETRICS:
        name = name.removesuffix("_total") if metric.type == "counter" else name
        help = help.replace('"', '\\"')
        unit = f"# UNIT {name} {metric.unit}\n" if metric.unit else ""
    return f"# HELP {name} {help}\n# TYPE {name} {metric.type}\n{unit}"


def _histogram(metric: Metric, labels: str, value: Histogram, *, exemplars: bool) -> Iterator[str]:
    bucket = f"{metric.name}_bucket{{{labels},le=" if labels else f"{metric.name}_bucket{{le="
    shown = chain(value.exemplars if exemplars else (), repeat(None))
    bounds = _bounds(metric.bounds)
    yield "".join(
        [
            f"{bucket}{bound}}} {count}.0{'' if exemplar is None else _exemplar(exemplar)}\n"
            for bound, count, exemplar in zip(bounds, accumulate(value.counts), shown, strict=False)
        ]
    )
    braces = f"{{{labels}}}" if labels else ""
    yield f"{metric.name}_count{braces} {sum(value.counts)}.0\n{metric.name}_sum{braces} {number(value.total)}\n"


@cache
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """As `le` says them: always as floats, as OpenMetrics wants it and Prometheus 3 makes them."""
    return (*(f'"{float(bound)!r}"' for bound in bounds), '"+Inf"')


def _exemplar(exemplar: Exemplar) -> str:
    ids = f'trace_id="{exemplar.trace_id.hex()}",span_id="{exemplar.span_id.hex()}"'
    return f" # {{{ids}}} {number(exemplar.value)} {exemplar.at:.3f}"


def number(value: float) -> str:
    """A value as both formats write it."""
    if isinstance(value, int):
        return f"{value:d}.0"
    if isfinite(value):
        return repr(float(value))
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"

"""The reference page of metrics, from what the sidecar and the operator declare; see `generate`, which writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from tracekeeper_operator.metrics import ControllerMetrics, InjectorMetrics
from tracekeeper_sidecar.meter.families import METERED
from tracekeeper_sidecar.metrics import TABLE, Metric
from tracekeeper_sidecar.process.metrics import TABLE as STEPS

HEAD = """\
# Metrics

<!-- Written by `make docs` from what is declared in sidecar/tracekeeper_sidecar/metrics.py,
sidecar/tracekeeper_sidecar/meter/families.py and operator/tracekeeper_operator/metrics.py. Do not edit. -->

Sidecars answer at `:14316/metrics`, the operator's processes at `:8080/metrics`. Never a label per user, per
conversation or per trace. Prometheus adds the labels that say where it scraped: `namespace` and `pod`.

[How to scrape it, and what to be woken for](../how-to/observe.md); [how to scale by it](../how-to/scale.md).
"""
COUNTED = """\
## What the application's spans say

Counted by every sidecar before sampling leaves anything out, so the numbers are exact, whatever is sampled; and each
acknowledged span once, across restarts of the sidecar. The label `alerts` is the TracingConfig whose `alerts` hold for
the pod, as `namespace/name`; empty where there is none. Labels that the application's words fill hold
`other` where there are too many of them; `tracekeeper_meter_overflow_total` says when that happens.

A new series is shown as 0 in the first scrape, and with its count from the next one on, so that `increase` and `rate`
do not miss the first event of a kind. To a person who asks inside the pod it is shown as it is. Buckets of histograms
have exemplars for scrapers that ask for OpenMetrics: the trace and the span of something that fell into them.
"""
OWN = "## The sidecar itself\n"
EQUATIONS = """\
Two equations hold within every scrape:

- `received = acknowledged + refused + filtered + suspended`
- for each `delivery` since it began:
  `acknowledged = delivered + sampled_out + unmatched + pending + dropped`
"""
OPERATOR = "## The operator\n"


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric of either program."""

    name: str
    """As it is scraped; of a histogram without what its series end with."""
    type: str
    unit: str
    labels: tuple[str, ...]
    help: str
    process: str
    """`sidecar`, `controller`, `injector` or `both`: the operator's."""

    @property
    def series(self) -> tuple[str, ...]:
        """Names as Prometheus stores them."""
        if self.type == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


def declared() -> list[Declared]:
    """Every metric there is."""
    return [*(_of_sidecar(metric) for metric in (*METERED, *TABLE, *STEPS)), *of_operator()]


def labels_of_series() -> dict[str, set[str]]:
    """Each series that can be asked for, with its labels, those from scraping apart."""
    return {
        series: {*metric.labels, *(("le",) if series.endswith("_bucket") else ())}
        for metric in declared()
        for series in metric.series
    }


def _of_sidecar(metric: Metric) -> Declared:
    return Declared(metric.name, metric.type, metric.unit, metric.labels, metric.help, "sidecar")


def of_operator() -> list[Declared]:
    """Those of the operator's two processes, as they register them."""
    found: dict[str, Declared] = {}
    for process, registry in (("controller", ControllerMetrics().registry), ("injector", InjectorMetrics().registry)):
        for metric in _registered(registry, process):
            both = metric.name in found
            found[metric.name] = Declared(*metric.row, "both" if both else process)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Registered:
    name: str
    row: tuple[str, str, str, tuple[str, ...], str]


def _registered(registry: CollectorRegistry, process: str) -> Iterator[_Registered]:
    for family in registry.collect():
        collector = registry._names_to_collectors[family.name]
        if not isinstance(collector, MetricWrapperBase):
            raise TypeError(f"{family.name} of the {process} declares no labels")
        name = f"{family.name}_total" if family.type == "counter" else family.name
        last = family.name.rpartition("_")[2]
        unit = family.unit or (last if last in ("seconds", "bytes", "dollars", "ratio") else "")
        yield _Registered(name, (name, family.type, unit, collector._labelnames, family.documentation))


def _table(metrics: Iterable[Declared], *, process: bool = False) -> str:
    """One row for each."""
    extra = " process |" if process else ""
    rows = [f"| metric | type | unit | labels |{extra} what it says |", "|---|---|---|---|---|" + "---|" * process]
    for each in metrics:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        where = f" {each.process} |" if process else ""
        rows.append(f"| `{each.name}` | {each.type} | {each.unit} | {labels} |{where} {each.help} |")
    return "\n".join(rows) + "\n"


def render() -> str:
    """docs/reference/metrics.md."""
    return "\n".join(
        [
            HEAD,
            COUNTED,
            _table(_of_sidecar(metric) for metric in METERED),
            OWN,
            _table(_of_sidecar(metric) for metric in (*TABLE, *STEPS)),
            EQUATIONS,
            OPERATOR,
            _table(of_operator(), process=True),
        ]
    )

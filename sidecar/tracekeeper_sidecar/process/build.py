"""Makes the pipeline of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Final

from tracekeeper_sidecar.model import NO_POD, Pod
from tracekeeper_sidecar.process.pipeline import Pipeline
from tracekeeper_sidecar.process.step import Step
from tracekeeper_spec.price import NO_PRICE, Price
from tracekeeper_spec.processor import Processor, ProcessorType, price_of
from tracekeeper_spec.secrets import DocumentSecrets, Secrets

Make = Callable[[Processor, "Means"], Step]


@dataclass(frozen=True, slots=True)
class Means:
    """What steps are made with, besides what the config says of them."""

    secrets: Secrets = field(default_factory=lambda: DocumentSecrets({}))
    pod: Pod = NO_POD
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the pod. So are the annotations."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else is known of the pod, by the names of the downward API's files: `node`, `service-account`."""
    earlier: frozenset[ProcessorType] = frozenset()
    """Types of the steps before the one that is made; `build` sees to it."""
    price: Price = NO_PRICE
    """What all steps of the config say of prices; `build` sees to it."""


_MODULES: Final = {
    ProcessorType.NORMALIZE: "normalize",
    ProcessorType.REDACT: "redact",
    ProcessorType.FILTER: "filter",
    ProcessorType.ATTRIBUTES: "attributes",
    ProcessorType.PRICE: "price",
    ProcessorType.DETECT: "detect",
    ProcessorType.CUSTOM: "custom",
}


def build(processors: Sequence[Processor], means: Means) -> Pipeline:
    """The pipeline of these processors, in their order. Only the code of those that are there is imported."""
    means = replace(means, price=price_of(processors))
    steps: list[Step] = []
    for place, processor in enumerate(processors):
        earlier = frozenset(one.type for one in processors[:place])
        steps.append(_make(processor)(processor, replace(means, earlier=earlier)))
    return Pipeline(steps)


def _make(processor: Processor) -> Make:
    module = import_module(f"tracekeeper_sidecar.process.{_MODULES[processor.type]}")
    make: Make = module.make
    return make

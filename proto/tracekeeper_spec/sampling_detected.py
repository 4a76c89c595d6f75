"""The sampling rule that comes with a step of type Detect: what has been detected is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tracekeeper_spec.processor import Processor, ProcessorType
from tracekeeper_spec.sampling import DefaultType, Sampling, SamplingRule

DETECTED = SamplingRule("detected", "trace.detected", 1.0)
"""Before those of the config. One of the config with the same name takes its place."""


def keeping_detected(sampling: Sampling, processors: Iterable[Processor]) -> Sampling:
    """`sampling` with that rule, if a step asks for it, and if anything is left out at all."""
    if _keeps_all(sampling) or any(rule.name == DETECTED.name for rule in sampling.rules):
        return sampling
    for processor in processors:
        if processor.type is ProcessorType.DETECT and processor.detect is not None and processor.detect.keep:
            return replace(sampling, rules=(DETECTED, *sampling.rules))
    return sampling


def _keeps_all(sampling: Sampling) -> bool:
    """Whether every trace is kept; then nothing is to be gained by waiting for what may be detected."""
    default = sampling.default
    plain = default.type is DefaultType.PROBABILISTIC and not default.probabilistic.schedule
    return plain and default.probabilistic.probability >= 1.0 and not sampling.rules

"""The tail samplers of both sides, set to keep the same: traces with an error, slow ones, some of the rest by lot."""

from __future__ import annotations

from dataclasses import dataclass

PROBABILITY = 0.05
"""Of a trace that no rule keeps."""
SLOW_MS = 990
"""Traces that take longer than this are kept."""
TRACES = 1_000_000
"""Open traces that the Collector is allowed at once: more than there are."""


@dataclass(frozen=True, slots=True)
class Tail:
    """A tail sampler's settings."""

    wait: float
    """Seconds after a trace's first span at which it is decided at the latest."""
    conditions: int = 0
    """So many further rules, ours alone, each with a condition about attributes that no span fulfils."""


def ours(tail: Tail) -> str:
    """The section of a TracingConfig."""
    rules = [
        ("errors", "trace.errors > 0", 1),
        ("slow", f"trace.duration > {SLOW_MS}ms", 1),
        *((f"never-{n}", f'span.attributes["gen_ai.tool.name"] == "none-{n}"', 1) for n in range(tail.conditions)),
    ]
    lines = [f"    - {{name: {name}, match: '{match}', probability: {chance}}}" for name, match, chance in rules]
    default = f"{{type: Probabilistic, probabilistic: {{probability: {PROBABILITY}}}}}"
    return "\n".join(
        ["  sampling:", f"    decisionWait: {tail.wait:g}s", "    rules:", *lines, f"    default: {default}", ""]
    )


def theirs(tail: Tail) -> dict[str, object]:
    """The settings of the Collector's `tail_sampling` processor."""
    return {
        "decision_wait": f"{tail.wait:g}s",
        "num_traces": TRACES,
        "policies": [
            {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "slow", "type": "latency", "latency": {"threshold_ms": SLOW_MS}},
            {"name": "lot", "type": "probabilistic", "probabilistic": {"sampling_percentage": PROBABILITY * 100}},
        ],
    }

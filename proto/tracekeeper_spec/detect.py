"""What troubles of agents are looked for: `processors[].detect`.

Detect
  disabled: tuple[Detector, …]        keep, link_conversations: bool
  handoffs: tuple[Handoffs, …]        from, to: who may hand over to whom
  loop, context, tokens, tool_failures, ping_pong, fan_out, cut_off: where each trouble begins
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Detector(StrEnum):
    """By the names that attributes, metrics and pages have."""

    LOOP = "Loop"
    CONTEXT_EXPLOSION = "ContextExplosion"
    TOKEN_RUNAWAY = "TokenRunaway"
    TOOL_FAILURES = "ToolFailures"
    HANDOFF_PING_PONG = "HandoffPingPong"
    UNDECLARED_HANDOFF = "UndeclaredHandoff"
    FAN_OUT = "FanOut"
    RESPONSE_MODEL_CHANGED = "ResponseModelChanged"
    ANSWER_CUT_OFF = "AnswerCutOff"


@dataclass(frozen=True, slots=True)
class Loop:
    """How often the same call of a tool or an agent may be in a trace."""

    repeats: int = 6
    """With the same arguments, or the same input."""
    without_arguments: int = 40
    """Where spans do not say them."""


@dataclass(frozen=True, slots=True)
class Context:
    """An input that grows from call to call of one agent."""

    tokens: int = 32_000
    """Smaller inputs are no trouble."""
    times: float = 3.0
    """By how much it has grown since it began to."""
    calls: int = 4
    """That grow one after another, by a tenth at least each."""


@dataclass(frozen=True, slots=True)
class Tokens:
    per_trace: int = 1_000_000
    per_minute: int | None = None
    """On average over the trace, which counts as a minute at least; None: any number."""


@dataclass(frozen=True, slots=True)
class ToolFailures:
    consecutive: int = 5
    share: float = 0.5
    """Of `calls` or more."""
    calls: int = 12


@dataclass(frozen=True, slots=True)
class PingPong:
    handoffs: int = 6
    """One after another between the same two agents, back and forth."""


@dataclass(frozen=True, slots=True)
class FanOut:
    calls: int = 100
    """Of models and tools, in a trace."""


@dataclass(frozen=True, slots=True)
class CutOff:
    answers: int = 1
    """In a trace."""
    output_tokens: int = 32
    """Shorter ones were meant to be short."""


@dataclass(frozen=True, slots=True)
class Handoffs:
    """Agents that one agent may hand over to."""

    from_: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Detect:
    disabled: tuple[Detector, ...] = ()
    keep: bool = True
    """Whether sampling keeps traces in which something was detected."""
    link_conversations: bool = True
    """Whether a trace is linked to the one before it in its conversation."""
    handoffs: tuple[Handoffs, ...] = ()
    loop: Loop = field(default_factory=Loop)
    context: Context = field(default_factory=Context)
    tokens: Tokens = field(default_factory=Tokens)
    tool_failures: ToolFailures = field(default_factory=ToolFailures)
    ping_pong: PingPong = field(default_factory=PingPong)
    fan_out: FanOut = field(default_factory=FanOut)
    cut_off: CutOff = field(default_factory=CutOff)

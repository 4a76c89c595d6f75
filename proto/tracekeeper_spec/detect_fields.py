"""The schema of `processors[].detect`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracekeeper_spec.detect import (
    Context,
    CutOff,
    Detect,
    Detector,
    FanOut,
    Handoffs,
    Loop,
    PingPong,
    Tokens,
    ToolFailures,
)
from tracekeeper_spec.schema import (
    Boolean,
    Check,
    Choice,
    Field,
    Finding,
    Fraction,
    Integer,
    ListOf,
    Object,
    Text,
    Values,
)
from tracekeeper_spec.units import show

AGENT = Text(128, r"^[^\x00-\x1f\x7f]+$", "the name of an agent, as in gen_ai.agent.name")


def _make(**values: Any) -> Detect:
    return Detect(**{name: value for name, value in values.items() if value is not None})


def _disabled_differ(values: Values) -> Iterator[Finding]:
    disabled = values.get("disabled") or ()
    for index, name in enumerate(disabled):
        if name in disabled[:index]:
            yield f"disabled[{index}]", f"{show(str(name))} is in this list already", "remove it"


LOOP = Object(
    Loop,
    (
        Field(
            "repeats",
            Integer(2, 1_000_000),
            "Calls of the same tool with the same arguments, or of the same agent with the same input, in one trace.",
            default=6,
        ),
        Field(
            "withoutArguments",
            Integer(2, 1_000_000),
            "The same for calls whose arguments are in no span, so that nobody knows whether they are the same.",
            default=40,
        ),
    ),
)
CONTEXT = Object(
    Context,
    (
        Field("tokens", Integer(1, 100_000_000), "Tokens of input; less is no trouble.", default=32_000),
        Field("times", Fraction(1.1, 1000.0), "By how much the input has grown since it began to.", default=3),
        Field(
            "calls",
            Integer(2, 250),
            "Calls of one agent that grow one after another, each by a tenth at least.",
            default=4,
        ),
    ),
)
TOKENS = Object(
    Tokens,
    (
        Field(
            "perTrace",
            Integer(1, 1_000_000_000),
            "Tokens of input and output of all calls of models.",
            default=1_000_000,
        ),
        Field(
            "perMinute",
            Integer(1, 1_000_000_000),
            "The same per minute, on average over the trace, which counts as a minute at least.",
            default_note="any number",
        ),
    ),
)
TOOL_FAILURES = Object(
    ToolFailures,
    (
        Field("consecutive", Integer(2, 500), "Calls of tools that fail one after another, whichever.", default=5),
        Field("share", Fraction(0.01), "Share of a trace's calls of tools that fail.", default=0.5),
        Field("calls", Integer(2, 500_000), "How many there must be before the share is looked at.", default=12),
    ),
)
PING_PONG = Object(
    PingPong,
    (
        Field(
            "handoffs",
            Integer(2, 60_000),
            "Hand-offs one after another between the same two agents, back and forth.",
            default=6,
        ),
    ),
)
FAN_OUT = Object(
    FanOut, (Field("calls", Integer(2, 1_000_000), "Calls of models and tools in one trace.", default=100),)
)
CUT_OFF = Object(
    CutOff,
    (
        Field("answers", Integer(1, 60_000), "Answers in one trace that ended because they were too long.", default=1),
        Field(
            "outputTokens",
            Integer(0, 1_000_000),
            "Shorter answers do not count: who asks for one word wants no more.",
            default=32,
        ),
    ),
)
HANDOFFS = Object(
    Handoffs,
    (
        Field("from", AGENT, "The agent that hands over.", required=True),
        Field("to", ListOf(AGENT, 64), "Those that it may hand over to; none, if the list is empty.", required=True),
    ),
)

DETECT = Object(
    _make,
    (
        Field("disabled", ListOf(Choice(Detector), 9), "Detectors that do not look.", default_note="they all look"),
        Field(
            "keep",
            Boolean(),
            "Whether sampling keeps every trace in which something was detected, by a rule `detected` before those of "
            "the config.",
            default=True,
        ),
        Field(
            "linkConversations",
            Boolean(),
            "Whether the first span of a trace with a `gen_ai.conversation.id` gets a link to the trace before it in "
            "this conversation.",
            default=True,
        ),
        Field(
            "handoffs",
            ListOf(HANDOFFS, 64, unique="from"),
            "Which agent may hand over to which. Others that hand over are taken at their own word, where their spans "
            "declare to whom they may.",
            default_note="what spans declare",
        ),
        Field("loop", LOOP, "For `Loop`.", default_note="its defaults"),
        Field("context", CONTEXT, "For `ContextExplosion`.", default_note="its defaults"),
        Field("tokens", TOKENS, "For `TokenRunaway`.", default_note="its defaults"),
        Field("toolFailures", TOOL_FAILURES, "For `ToolFailures`.", default_note="its defaults"),
        Field("pingPong", PING_PONG, "For `HandoffPingPong`.", default_note="its defaults"),
        Field("fanOut", FAN_OUT, "For `FanOut`.", default_note="its defaults"),
        Field("cutOff", CUT_OFF, "For `AnswerCutOff`.", default_note="its defaults"),
    ),
    checks=(
        Check(
            _disabled_differ,
            "!has(self.disabled) || self.disabled.all(d, self.disabled.exists_one(x, x == d))",
            "a detector may be named only once",
        ),
    ),
)

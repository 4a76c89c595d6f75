"""What the table of dialects is made of. Only data: adding a dialect is adding a file of rows, and fixtures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SPAN_NAME: Final = "(the span's name)"
"""As a source: not an attribute, but what the span is called."""


class How(StrEnum):
    """What is done with a value on its way; as the reference says it."""

    TEXT = "text"
    TOKENS = "tokens"
    NUMBER = "number"
    WHOLE = "whole number"
    DOLLARS = "dollars"
    SUM = "dollars, those of all its members together"
    SECONDS = "milliseconds to seconds"
    SINCE = "a moment, to seconds since the span began"
    LIST = "list of texts"
    PROVIDER = "provider, renamed"
    CONTENT = "as it is"


class Kind(StrEnum):
    """Kinds of components."""

    PIPELINE = "pipeline"
    AGENT = "agent"
    TOOL = "tool"
    RUNNER = "runner"
    HANDOFF = "handoff"
    GUARDRAIL = "guardrail"
    LLM = "llm"
    EMBEDDING = "embedding"
    RETRIEVER = "retriever"


@dataclass(frozen=True, slots=True)
class Component:
    """What a span is: its kind, and the operation that says so where OpenTelemetry has one."""

    kind: Kind
    operation: str = ""


CHAT: Final = Component(Kind.LLM, "chat")
COMPLETION: Final = Component(Kind.LLM, "text_completion")
EMBEDDINGS: Final = Component(Kind.EMBEDDING, "embeddings")
AGENT: Final = Component(Kind.AGENT, "invoke_agent")
TOOL: Final = Component(Kind.TOOL, "execute_tool")
RETRIEVAL: Final = Component(Kind.RETRIEVER, "retrieval")
WORKFLOW: Final = Component(Kind.PIPELINE, "invoke_workflow")
PIPELINE: Final = Component(Kind.PIPELINE)
RUNNER: Final = Component(Kind.RUNNER)
HANDOFF: Final = Component(Kind.HANDOFF)
GUARDRAIL: Final = Component(Kind.GUARDRAIL)

OPERATIONS: Final[Mapping[str, Kind]] = {
    "chat": Kind.LLM,
    "text_completion": Kind.LLM,
    "generate_content": Kind.LLM,
    "embeddings": Kind.EMBEDDING,
    "retrieval": Kind.RETRIEVER,
    "execute_tool": Kind.TOOL,
    "invoke_agent": Kind.AGENT,
    "create_agent": Kind.AGENT,
    "invoke_workflow": Kind.PIPELINE,
}
"""What OpenTelemetry's own operations are."""


@dataclass(frozen=True, slots=True)
class Row:
    """One canonical attribute, and where a dialect has it."""

    canonical: str
    source: str
    how: How = How.TEXT
    member: str = ""
    """The value is JSON, and this is the path to the member that is meant, its names separated by dots."""
    having: str = ""
    """Only where the JSON has this member, too."""
    kinds: tuple[Kind, ...] = ()
    """Only on spans of these kinds; of all, where there are none."""
    beside: str = ""
    """A canonical attribute: the row serves only where that is known by now."""
    plus: str = ""
    """Another key, whose number is added where it is there."""
    exclusive: bool = False
    """Tokens that do not contain the cached ones (of input), or those of reasoning (of output)."""


@dataclass(frozen=True, slots=True)
class KindRow:
    """Where a dialect says what a span is."""

    source: str
    values: Mapping[str, Component]
    """In lower case."""
    rank: int
    """Which says it where several do: the lowest. `gen_ai.operation.name` has 2."""


class Form(StrEnum):
    """How messages are written; as the reference says it."""

    OPENINFERENCE = "indexed, as OpenInference's `message.*`"
    TRACELOOP = "indexed, as OpenAI's messages"
    TEXTS = "indexed texts"
    CHAT = "JSON: a list of messages, an object that has one, or text"
    ANSWER = "parts of an answer, each in an attribute of its own"
    EVENTS = "events, one for each message"
    CONTENT_EVENT = "an event with all messages, as JSON or text"


@dataclass(frozen=True, slots=True)
class MessageRow:
    """Where a dialect has the messages that go into a canonical attribute."""

    canonical: str
    source: str
    """A key; one that ends with a dot begins keys that go on with an index; with `event ` before it, an event's
    name."""
    form: Form
    role: str = "user"
    """Whose a text is that does not say it."""
    kinds: tuple[Kind, ...] = (Kind.LLM,)


@dataclass(frozen=True, slots=True)
class Dialect:
    """All that is known of one."""

    name: str
    """As in `tracekeeper.dialect`, and in a config."""
    title: str
    rows: tuple[Row, ...] = ()
    kinds: tuple[KindRow, ...] = ()
    messages: tuple[MessageRow, ...] = ()
    marks: tuple[str, ...] = ()
    """Keys, or beginnings of keys that end with a dot, that have no row and still tell the dialect."""
    silent: tuple[str, ...] = ()
    """Sources that others use, too: they serve on a span that something else has told."""
    scopes: tuple[str, ...] = ()
    """Beginnings of names of instrumentation scopes that it alone has."""
    exclusive: tuple[str, ...] = ()
    """Providers whose tokens it passes on as they come, that is without the cached ones among those of input."""
    inclusive_marks: tuple[str, ...] = ()
    """Keys that only releases have that count in the cached ones themselves."""

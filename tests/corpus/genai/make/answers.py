"""What the local model answers and what it says that it used: the fixed facts that all golden totals come from.

The case is chosen by a word in the last message of the user, so that one server is enough for every SDK.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

CITY = "Lyon"
TOOL = "get_weather"
HELLO = "Hello from the local model."
WEATHER = "It is 18 degrees and cloudy in Lyon."
POEM = "The harbour sleeps beneath a paper moon, and"
VECTOR = [0.25, -0.5, 0.75, 1.0]


@dataclass(frozen=True)
class Usage:
    """Tokens of one call as the books count them: `input` and `output` include the parts named after them."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0


@dataclass(frozen=True)
class Answer:
    """One answer: its text or its call of the tool, why it ended (in OpenAI's words), and its usage."""

    text: str
    usage: Usage
    finish: str = "stop"
    calls_tool: bool = False
    thought: str = ""


OPENAI = {
    "hello": Answer(HELLO, Usage(24, 9)),
    "stream": Answer(HELLO, Usage(26, 11, cache_read=8)),
    "think": Answer(
        HELLO, Usage(2048, 640, cache_read=1024, reasoning=512), thought="The user greets me; I greet back."
    ),
    "listen": Answer(HELLO, Usage(120, 60, input_audio=80, output_audio=40)),
    "weather": Answer("", Usage(82, 17), finish="tool_calls", calls_tool=True),
    "after tool": Answer(WEATHER, Usage(117, 12, cache_read=64)),
    "poem": Answer(POEM, Usage(31, 16), finish="length"),
}
ANTHROPIC = {
    "hello": Answer(HELLO, Usage(18, 10)),
    "stream": Answer(HELLO, Usage(20, 12)),
    "cached": Answer(HELLO, Usage(2512, 40, cache_read=2000, cache_write=500)),
    "partly": Answer(HELLO, Usage(1100, 33, cache_read=300)),
    "weather": Answer("", Usage(390, 56), finish="tool_calls", calls_tool=True),
    "after tool": Answer(WEATHER, Usage(470, 21)),
    "poem": Answer(POEM, Usage(27, 16), finish="length"),
}
EMBEDDING = Usage(8, 0)
PARTS = tuple(part.name for part in fields(Usage))
ARGUMENTS = json.dumps({"city": CITY})
DATED = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "o4-mini": "o4-mini-2025-04-16",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}


def which(told: str, after_tool: bool, answers: dict[str, Answer]) -> str:
    """The name of the answer to this text; "fail" where the call is to be refused."""
    if after_tool:
        return "after tool"
    words = told.lower()
    if "fail" in words:
        return "fail"
    return next((name for name in answers if name in words), "hello")

"""OpenInference. Anthropic's client records itself, too: its span is below OpenInference's, with the same usage."""

from __future__ import annotations

from answers import ANTHROPIC, EMBEDDING, OPENAI
from golden.cases import anthropic_calls, openai_calls
from golden.spans import AUDIO, CLAUDE, GPT, Case, agent, call, embedding, pipeline, span, tool, with_all

_FIRST, _SECOND = OPENAI["weather"].usage, OPENAI["after tool"].usage


def _twice(cases: dict[str, Case]) -> dict[str, Case]:
    doubled: dict[str, Case] = {}
    for name, case in cases.items():
        doubled[name] = []
        for each in case:
            outer = {**each, "name": "messages.create", **({"repeated": True} if "input" in each else {})}
            doubled[name] += [each, outer]
    return doubled


_LANGCHAIN = [
    call("ChatOpenAI", _FIRST, GPT),
    pipeline("model"),
    tool("get_weather"),
    pipeline("tools"),
    call("ChatOpenAI", _SECOND, GPT),
    pipeline("model"),
    agent("weather-agent", None),
]

_VECTORS = embedding("CreateEmbeddings", EMBEDDING, answered=None)

OLD: dict[str, Case] = {
    **openai_calls("ChatCompletion", "", "Response"),
    **anthropic_calls("Messages"),
    "embeddings": [{**_VECTORS, "name": "CreateEmbeddingResponse"}],
    # Of a stream it tells the model that was asked for.
    "anthropic_stream": [
        call("Messages", ANTHROPIC["stream"].usage, CLAUDE, provider="anthropic", answered=CLAUDE),
    ],
}
del OLD["anthropic_error"]

CASES: dict[str, Case] = {
    **openai_calls("ChatCompletion", "CreateEmbeddings", "Response"),
    "chat_audio": [call("ChatCompletion", OPENAI["listen"].usage, AUDIO, answered=AUDIO)],
    "embeddings": [_VECTORS],
    **_twice(anthropic_calls("anthropic.messages.create")),
    "session": [call("ChatCompletion", OPENAI["hello"].usage, GPT, conversation="session-7", user="user-3")],
    "agent": [
        call("ChatCompletion", _FIRST, GPT),
        call("ChatCompletion", _SECOND, GPT),
        tool("get_weather"),
        pipeline("answer"),
        agent("weather-agent", None),
    ],
    "langchain_agent": with_all(_LANGCHAIN, conversation="session-7"),
    # LangChain's instrumentation does not make its spans current: those of OpenAI's client begin traces of their own,
    # and nothing says that they are the same calls.
    "langchain_twice": [
        *with_all(_LANGCHAIN, conversation="session-7"),
        call("ChatCompletion", _FIRST, GPT),
        call("ChatCompletion", _SECOND, GPT),
    ],
    # The Agents SDK tells its processors only the sums, and the model asked for.
    "openai_agents": [
        span("no_secrets", "guardrail"),
        call("generation", _FIRST, GPT, answered=GPT),
        tool("get_weather"),
        pipeline("turn"),
        call("generation", _SECOND, GPT, answered=GPT, lost=("cache_read",)),
        pipeline("turn"),
        agent("weather-agent", "weather-agent"),
        pipeline("weather-desk"),
        agent("weather-desk", None),
    ],
}

"""Cases that several dialects share: the same calls of a vendor's client, told of by different instrumentations."""

from __future__ import annotations

from typing import Any

from answers import ANTHROPIC, EMBEDDING, OPENAI
from golden.spans import AUDIO, CLAUDE, GPT, MINI, SOUND, VECTORS, Case, call, embedding


def openai_calls(chat: str, embed: str, respond: str | None, deaf: bool = False, **more: Any) -> dict[str, Case]:
    """Cases of `openai_calls.py`; the names may hold `{model}`. Who is `deaf` does not tell tokens of sound. `more`
    goes to every call."""

    def said(case: str, model: str = GPT, name: str = chat, **other: Any) -> Any:
        usage = OPENAI[case].usage if case in OPENAI else None
        return call(name.format(model=model), usage, model, **{**more, **other})

    cases = {
        "chat": [said("hello")],
        "chat_stream": [said("stream")],
        "chat_think": [said("think", MINI)],
        "chat_tool": [said("weather"), said("after tool")],
        "chat_audio": [said("listen", AUDIO, answered=AUDIO, lost=SOUND if deaf else ())],
        "chat_length": [said("poem")],
        "chat_error": [said("fail")],
        "embeddings": [embedding(embed, EMBEDDING, **{**more, "answered": VECTORS})],
    }
    if respond is not None:
        cases["responses_think"] = [said("think", MINI, respond)]
    return cases


def anthropic_calls(name: str, **more: Any) -> dict[str, Case]:
    """Cases of `anthropic_calls.py`."""

    def said(case: str) -> Any:
        return call(
            name, ANTHROPIC[case].usage if case in ANTHROPIC else None, CLAUDE, **{"provider": "anthropic", **more}
        )

    return {
        "anthropic_chat": [said("hello")],
        "anthropic_cached": [said("cached")],
        "anthropic_partly": [said("partly")],
        "anthropic_stream": [said("stream")],
        "anthropic_tool": [said("weather"), said("after tool")],
        "anthropic_length": [said("poem")],
        "anthropic_error": [said("fail")],
    }

"""Langfuse's SDK, third version: its wrapper of OpenAI's client, its decorator, and generations of one's own."""

from __future__ import annotations

import openai_calls
from langfuse import Langfuse, get_client, observe, propagate_attributes
from langfuse.openai import OpenAI
from local import LOCAL, anthropic_client, openai_client, run

Langfuse(public_key="pk-lf-corpus", secret_key="sk-lf-corpus", base_url=LOCAL, environment="corpus", release="1.0.0")
langfuse = get_client()
client = openai_client(OpenAI)


@observe(name="get_weather", as_type="tool")
def get_weather(city: str) -> str:
    """The weather in a city now."""
    return "18 degrees, cloudy"


@observe(name="answer", as_type="chain")
def answer(question: str) -> str:
    """Two calls of the model and one of the tool."""
    openai_calls.tool_call(client)
    return get_weather("Lyon")


@observe(name="weather-agent", as_type="agent")
def run_agent(question: str) -> str:
    """An agent with a chain in it."""
    return answer(question)


def agent() -> None:
    """A trace of a user in a session."""
    with propagate_attributes(user_id="user-3", session_id="session-7", tags=["corpus"], trace_name="weather-desk"):
        run_agent("What is the weather in Lyon?")


def by_hand() -> None:
    """A generation of Anthropic's model whose usage the program gives itself, in Langfuse's own (exclusive) buckets."""
    with langfuse.start_as_current_observation(as_type="generation", name="claude", model="claude-sonnet-4-5") as made:
        answer = anthropic_client().messages.create(
            model="claude-sonnet-4-5", max_tokens=64, messages=[{"role": "user", "content": "Use what is cached."}]
        )
        used = answer.usage
        made.update(
            output=answer.content[0].text,
            usage_details={
                "input": used.input_tokens,
                "output": used.output_tokens,
                "cache_read_input_tokens": used.cache_read_input_tokens,
                "cache_creation_input_tokens": used.cache_creation_input_tokens,
            },
            cost_details={"total": 0.003111},
        )


run({**openai_calls.cases(client), "agent": agent, "generation": by_hand}, langfuse.flush)

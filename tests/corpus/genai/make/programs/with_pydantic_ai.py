"""Pydantic AI, which records itself: an agent with a tool, by OpenAI's and by Anthropic's interface."""

from __future__ import annotations

import anthropic
from local import anthropic_client, async_openai_client, run
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from telemetry import provider

made = provider()
Agent.instrument_all()


def get_weather(city: str) -> str:
    """The weather in a city now."""
    return "18 degrees, cloudy"


def _openai(name: str) -> OpenAIChatModel:
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=async_openai_client()))


def tool() -> None:
    """An agent with a tool."""
    Agent(_openai("gpt-4o"), name="weather-agent", tools=[get_weather]).run_sync("What is the weather in Lyon?")


def think() -> None:
    """Cached and reasoning tokens."""
    Agent(_openai("o4-mini"), name="thinker").run_sync("Think about it.")


def cached() -> None:
    """Anthropic's model with what is cached."""
    client = anthropic_client(anthropic.AsyncAnthropic, asynchronous=True)
    model = AnthropicModel("claude-sonnet-4-5", provider=AnthropicProvider(anthropic_client=client))
    Agent(model, name="reader").run_sync("Use what is cached.")


run({"agent_tool": tool, "agent_think": think, "agent_cached": cached}, made.force_flush)

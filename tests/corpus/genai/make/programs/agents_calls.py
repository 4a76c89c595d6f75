"""Runs of the OpenAI Agents SDK against the local model."""

from __future__ import annotations

import asyncio

from agents import (
    Agent,
    GuardrailFunctionOutput,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    handoff,
    input_guardrail,
)
from local import async_openai_client, refused


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city now."""
    return "18 degrees, cloudy"


@input_guardrail
async def no_secrets(context: object, agent: object, asked: object) -> GuardrailFunctionOutput:
    """Lets everything pass."""
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


def _run(agent: Agent[None], asked: str) -> None:
    config = RunConfig(workflow_name="weather-desk", group_id="session-7", trace_metadata={"user_id": "user-3"})
    asyncio.run(Runner.run(agent, asked, run_config=config, max_turns=5))  # type: ignore[arg-type]


def workflow() -> None:
    """An agent with a tool, a guardrail and somebody to hand over to, by chat completions."""
    model = OpenAIChatCompletionsModel("gpt-4o", async_openai_client())
    other = Agent[None](name="harbour-master", model=model)
    _run(
        Agent(
            name="weather-agent",
            instructions="You are brief.",
            model=model,
            tools=[get_weather],
            handoffs=[handoff(other)],
            input_guardrails=[no_secrets],
        ),
        "What is the weather in Lyon?",
    )


def responses() -> None:
    """The same by responses."""
    model = OpenAIResponsesModel("gpt-4o", async_openai_client())
    _run(
        Agent(name="weather-agent", instructions="You are brief.", model=model, tools=[get_weather]),
        "What is the weather in Lyon?",
    )


def think() -> None:
    """Cached and reasoning tokens, by responses."""
    _run(Agent(name="thinker", model=OpenAIResponsesModel("o4-mini", async_openai_client())), "Think about it.")


def passed_on() -> None:
    """An agent that hands over to another one."""
    model = OpenAIChatCompletionsModel("gpt-4o", async_openai_client())
    other = Agent[None](name="harbour-master", model=model)
    _run(
        Agent(name="front-desk", model=model, handoffs=[handoff(other, tool_name_override="get_weather")]),
        "What is the weather in Lyon?",
    )


def error() -> None:
    """A run whose model call is refused."""
    model = OpenAIChatCompletionsModel("gpt-4o", async_openai_client())
    refused(lambda: _run(Agent(name="weather-agent", model=model), "This must fail."))

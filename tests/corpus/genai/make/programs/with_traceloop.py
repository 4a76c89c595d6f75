"""Traceloop's SDK (OpenLLMetry): its instrumentations of OpenAI and Anthropic and its decorators."""

from __future__ import annotations

import anthropic_calls
import openai_calls
from local import LOCAL, anthropic_client, openai_client, run
from opentelemetry import trace
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, task, tool, workflow
from traceloop.sdk.instruments import Instruments

Traceloop.init(
    app_name="corpus",
    api_endpoint=LOCAL,
    telemetry_enabled=False,
    instruments={Instruments.OPENAI, Instruments.ANTHROPIC},
)
client = openai_client()


@tool(name="get_weather")
def get_weather(city: str) -> str:
    """The weather in a city now."""
    return "18 degrees, cloudy"


@task(name="answer")
def answer(question: str) -> str:
    """Two calls of the model and one of the tool."""
    openai_calls.tool_call(client)
    return get_weather("Lyon")


@agent(name="weather-agent")
def run_agent(question: str) -> str:
    """An agent with a task in it."""
    return answer(question)


@workflow(name="weather-desk")
def run_workflow(question: str) -> str:
    """A workflow with an agent in it, in a session of a user."""
    Traceloop.set_association_properties({"user_id": "user-3", "session_id": "session-7"})
    return run_agent(question)


cases = {
    **openai_calls.cases(client),
    **anthropic_calls.cases(anthropic_client()),
    "workflow": lambda: run_workflow("What is the weather in Lyon?"),
}
run(cases, trace.get_tracer_provider().force_flush)  # type: ignore[attr-defined]

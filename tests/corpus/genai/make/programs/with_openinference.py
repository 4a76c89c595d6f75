"""OpenInference: its instrumentations of OpenAI, Anthropic, LangChain and the OpenAI Agents SDK, and its own spans."""

from __future__ import annotations

import agents_calls
import anthropic_calls
import openai
import openai_calls
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from local import anthropic_client, client_of, library_of, openai_client, run
from openinference.instrumentation import OITracer, TraceConfig, using_attributes
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from openinference.instrumentation.langchain import LangChainInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry import trace
from telemetry import provider

made = provider()
OpenAIInstrumentor().instrument(tracer_provider=made)
AnthropicInstrumentor().instrument(tracer_provider=made)
client = openai_client()
tracer = OITracer(trace.get_tracer("corpus"), TraceConfig())


def session() -> None:
    """A chat in a session of a user, with metadata and tags."""
    with using_attributes(session_id="session-7", user_id="user-3", metadata={"team": "harbour"}, tags=["corpus"]):
        openai_calls.plain(client)


@tracer.tool(name="get_weather", description="The weather in a city now.")
def get_weather(city: str) -> str:
    """The weather in a city now."""
    return "18 degrees, cloudy"


@tracer.chain(name="answer")
def answer(question: str) -> str:
    """A chain that calls the tool's model twice and the tool once."""
    openai_calls.tool_call(client)
    return get_weather("Lyon")


@tracer.agent(name="weather-agent")
def agent_run(question: str) -> str:
    """An agent with a chain in it."""
    return answer(question)


def langchain(alone: bool) -> None:
    """LangChain's agent with a tool, recorded by LangChain's instrumentation, and unless `alone` by OpenAI's, too."""
    if alone:
        OpenAIInstrumentor().uninstrument()
    LangChainInstrumentor().instrument(tracer_provider=made)
    try:
        model = ChatOpenAI(model="gpt-4o", api_key="sk-corpus", http_client=client_of(library_of(openai)))
        made_agent = create_agent(model, [tool(_weather)], name="weather-agent")
        made_agent.invoke(
            {"messages": [HumanMessage("What is the weather in Lyon?")]}, {"metadata": {"session_id": "session-7"}}
        )
    finally:
        LangChainInstrumentor().uninstrument()


def _weather(city: str) -> str:
    """The weather in a city now."""
    return "18 degrees, cloudy"


_weather.__name__ = "get_weather"


def agents_sdk() -> None:
    """The OpenAI Agents SDK, recorded by its instrumentation alone."""
    OpenAIAgentsInstrumentor().instrument(tracer_provider=made)
    agents_calls.workflow()


cases = {
    **openai_calls.cases(client),
    **anthropic_calls.cases(anthropic_client()),
    "session": session,
    "agent": lambda: agent_run("What is the weather in Lyon?"),
    "langchain_twice": lambda: langchain(False),
    "langchain_agent": lambda: langchain(True),
    "openai_agents": agents_sdk,
}
run(cases, made.force_flush)

"""Two agents by the OpenAI Agents SDK, traced through the sidecar of their pod: only the endpoint is changed.

The first asks a tool for the weather and hands over to the second, which answers. Its settings:

    TRACES_ENDPOINT     where traces go; http://localhost:4318/v1/traces/ingest by default
    OPENAI_BASE_URL     the model's API; absent: one that costs nothing, in this process (model.py)
    AGENT_RUNS          how many conversations, each a trace of its own; 1 by default
    AGENT_API           chat_completions (default) or responses
    AGENT_PARENT        a traceparent to hang each trace below; absent: none
    AGENT_KEY           what the SDK sends as the API key; nobody looks at it
    AGENT_LINGER        seconds to stay after the last run; 0 by default

The last line printed is `summary {JSON}`: the ids of the traces, once the SDK says that it has sent them.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    gen_trace_id,
    input_guardrail,
    set_trace_processors,
)
from agents.tracing import ResponseSpanData, Span, TracingProcessor, get_trace_provider
from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor
from openai import AsyncOpenAI

import model


class NameModels(TracingProcessor):
    """Says which model gave a response: the SDK sends only the response's id."""

    def on_span_end(self, span: Span[Any]) -> None:
        data = span.span_data
        if isinstance(data, ResponseSpanData) and data.response is not None:
            data.metadata = {"model": data.response.model}  # type: ignore[attr-defined] # any attribute is told

    def on_span_start(self, span: Span[Any]) -> None: ...
    def on_trace_start(self, trace: Any) -> None: ...
    def on_trace_end(self, trace: Any) -> None: ...
    def shutdown(self) -> None: ...
    def force_flush(self) -> None: ...


def trace_to(endpoint: str) -> None:
    """Send traces there and nowhere else. The key is not looked at there; the SDK sends nothing without one."""
    exporter = BackendSpanExporter(api_key=os.environ.get("AGENT_KEY", "not-needed"), endpoint=endpoint)
    set_trace_processors([NameModels(), BatchTraceProcessor(exporter)])


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"12 degrees in {city}"


@input_guardrail
async def polite(context: Any, agent: Any, asked: Any) -> GuardrailFunctionOutput:
    """Lets everything through."""
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


async def run(runs: int) -> list[str]:
    """Have so many conversations; the ids of their traces."""
    client = AsyncOpenAI(base_url=os.environ.get("OPENAI_BASE_URL") or model.start(), api_key="not-needed")
    api = OpenAIResponsesModel if os.environ.get("AGENT_API") == "responses" else OpenAIChatCompletionsModel
    writer = Agent(name="writer", instructions="Answer.", model=api("gpt-4o", client))
    triage = Agent(
        name="triage",
        instructions="Ask for the weather, then hand over.",
        model=api("gpt-4o", client),
        tools=[weather],
        handoffs=[writer],
        input_guardrails=[polite],
    )
    parent = os.environ.get("AGENT_PARENT")
    traces = []
    for number in range(runs):
        metadata: dict[str, Any] = {"user_id": f"user-{number}", "service.name": "weather-agents"}
        traces.append(gen_trace_id())
        config = RunConfig(
            workflow_name="Weather",
            trace_id=traces[-1],
            group_id=f"conversation-{number}",
            trace_metadata=metadata | ({"traceparent": parent} if parent else {}),
        )
        await Runner.run(triage, "How is the weather in Oslo?", run_config=config)
    return traces


def main() -> None:
    trace_to(os.environ.get("TRACES_ENDPOINT", "http://localhost:4318/v1/traces/ingest"))
    traces = asyncio.run(run(int(os.environ.get("AGENT_RUNS", "1"))))
    get_trace_provider().shutdown()
    print("summary", json.dumps({"traces": traces}), flush=True)
    time.sleep(float(os.environ.get("AGENT_LINGER", "0")))


if __name__ == "__main__":
    main()

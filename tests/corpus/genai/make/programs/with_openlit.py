"""OpenLIT's SDK: its instrumentations of OpenAI and Anthropic and its decorator."""

from __future__ import annotations

import json
import tempfile

import anthropic_calls
import openai_calls
import openlit
from local import LOCAL, anthropic_client, openai_client, run
from opentelemetry import trace

PRICES = {
    "chat": {"gpt-4o": {"promptPrice": 0.0025, "completionPrice": 0.01}},
    "embeddings": {},
    "images": {},
    "audio": {},
}
"""In the shape of OpenLIT's own file, US dollars for a thousand tokens; one model only: for the others it says 0."""

with tempfile.NamedTemporaryFile("w", suffix=".json") as prices:
    json.dump(PRICES, prices)
    prices.flush()
    openlit.init(
        otlp_endpoint=LOCAL,
        application_name="corpus",
        environment="corpus",
        disable_metrics=True,
        pricing_json=prices.name,
        disabled_instrumentors=["httpx", "urllib", "requests"],
    )
client = openai_client()


@openlit.trace
def weather_desk(question: str) -> str:
    """A function of the program's own with two calls of the model in it."""
    openai_calls.tool_call(client)
    return "done"


cases = {
    **openai_calls.cases(client),
    **anthropic_calls.cases(anthropic_client()),
    "traced": lambda: weather_desk("What is the weather in Lyon?"),
}
run(cases, trace.get_tracer_provider().force_flush)  # type: ignore[attr-defined]

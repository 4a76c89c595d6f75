"""OpenInference's instrumentations of OpenAI and Anthropic, a year older."""

from __future__ import annotations

import anthropic_calls
import openai_calls
from local import anthropic_client, openai_client, run
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor
from telemetry import provider

made = provider()
OpenAIInstrumentor().instrument(tracer_provider=made)
AnthropicInstrumentor().instrument(tracer_provider=made)
run({**openai_calls.cases(openai_client()), **anthropic_calls.cases(anthropic_client())}, made.force_flush)

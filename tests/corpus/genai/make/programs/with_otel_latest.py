"""OpenTelemetry's newest instrumentation of OpenAI's client (package `genai-openai`), with content on the span."""

import os

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

import otel_calls
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

otel_calls.main(OpenAIInstrumentor)

"""OpenTelemetry's own instrumentation of OpenAI's client with the latest conventions and content on the span."""

import os

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

import otel_calls
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

otel_calls.main(OpenAIInstrumentor)

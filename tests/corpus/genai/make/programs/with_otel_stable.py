"""OpenTelemetry's own instrumentation of OpenAI's client as it comes: conventions 1.36 and before, content in logs."""

import os

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"

import otel_calls
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

otel_calls.main(OpenAIInstrumentor)

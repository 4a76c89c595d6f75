"""The OpenAI Agents SDK with its own exporter, pointed at the local server: not OTLP, but OpenAI's ingest."""

from __future__ import annotations

import agents_calls
from agents import set_trace_processors
from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor
from local import LOCAL, run

processor = BatchTraceProcessor(BackendSpanExporter(api_key="sk-corpus", endpoint=f"{LOCAL}/v1/traces/ingest"))
set_trace_processors([processor])

run(
    {
        "tool": agents_calls.workflow,
        "responses": agents_calls.responses,
        "think": agents_calls.think,
        "handoff": agents_calls.passed_on,
        "error": agents_calls.error,
    },
    processor.force_flush,
)

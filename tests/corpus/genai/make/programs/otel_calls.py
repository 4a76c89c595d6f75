"""OpenTelemetry's own instrumentation of OpenAI's client, without and with the latest conventions (by environment)."""

from __future__ import annotations

import openai_calls
from local import LOCAL, openai_client, run
from opentelemetry import _logs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from telemetry import provider


def main() -> None:
    """Runs all cases."""
    made = provider()
    logs = LoggerProvider()
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{LOCAL}/v1/logs")))
    _logs.set_logger_provider(logs)
    OpenAIInstrumentor().instrument(tracer_provider=made, logger_provider=logs)
    run(openai_calls.cases(openai_client(), but=("responses_think",)), made.force_flush)

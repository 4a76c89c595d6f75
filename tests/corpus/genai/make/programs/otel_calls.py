"""What the programs of OpenTelemetry's own instrumentations have in common."""

from __future__ import annotations

from typing import Any

import openai_calls
from local import LOCAL, openai_client, run
from opentelemetry import _logs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from telemetry import provider


def main(instrumentor: Any) -> None:
    """Runs all cases, recorded by this class."""
    made = provider()
    logs = LoggerProvider()
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{LOCAL}/v1/logs")))
    _logs.set_logger_provider(logs)
    instrumentor().instrument(tracer_provider=made, logger_provider=logs)
    run(openai_calls.cases(openai_client()), made.force_flush)

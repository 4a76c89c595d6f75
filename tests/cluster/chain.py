"""One of several services that call each other: an application for the cluster tests, with OpenTelemetry's Python SDK.

Each GET makes a span, calls CHAIN_NEXT within it if there is one, hands the trace on by the W3C headers, and fails
where CHAIN_FAILS says so. With CHAIN_RUNS it is the first one, and makes that many traces by itself. It runs in the
demo's image, handed over as a text: it may import nothing of the tests.

    CHAIN_NEXT             URL of the next service; absent: the last one
    CHAIN_FAILS            every how many calls it ends its span with an error, without telling its caller; 0: never
    CHAIN_RUNS             how many traces to make; 0, the default: none
    CHAIN_RUNS_PER_SECOND  how many of them a second
    CHAIN_LISTEN           port for calls and for GET /stats: {"traces": [ids], "failed": [ids], "done": …}
"""

import http.server
import json
import os
import threading
import time
import urllib.request

from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

NEXT = os.environ.get("CHAIN_NEXT", "")
FAILS = int(os.environ.get("CHAIN_FAILS", "0"))
RUNS = int(os.environ.get("CHAIN_RUNS", "0"))
RATE = float(os.environ.get("CHAIN_RUNS_PER_SECOND", "10"))
LOCK = threading.Lock()
TRACES: list[str] = []
FAILED: list[str] = []
DONE = threading.Event()

if os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf") == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # type: ignore[assignment]

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("chain")


def call(headers: dict[str, str]) -> None:
    """One call of this service: a span of its own, one for what it asks the next one, and a short one between."""
    with tracer.start_as_current_span("serve", propagate.extract(headers), kind=SpanKind.SERVER) as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        with tracer.start_as_current_span("think"):
            pass
        if NEXT:
            with tracer.start_as_current_span("ask", kind=SpanKind.CLIENT):
                carrier: dict[str, str] = {}
                propagate.inject(carrier)
                urllib.request.urlopen(urllib.request.Request(NEXT, headers=carrier), timeout=10).close()
        with LOCK:
            TRACES.append(trace_id)
            if FAILS and len(TRACES) % FAILS == 0:
                span.set_status(StatusCode.ERROR)
                FAILED.append(trace_id)


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /stats, and the service itself under every other path."""

    def do_GET(self) -> None:
        """Answer one request."""
        body = b""
        if self.path == "/stats":
            with LOCK:
                body = json.dumps({"traces": TRACES, "failed": FAILED, "done": DONE.is_set()}).encode()
        else:
            call({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


def run() -> None:
    """Make the traces, evenly."""
    begun = time.monotonic()
    for number in range(RUNS):
        time.sleep(max(0.0, begun + number / RATE - time.monotonic()))  # The application's pace. Nothing waits for it.
        call({})
    provider.force_flush()
    DONE.set()


if RUNS:
    threading.Thread(target=run, daemon=True).start()
port = int(os.environ["CHAIN_LISTEN"])
http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.util.Collection;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Sends spans with OpenTelemetry's Java SDK: java Client ENDPOINT PROTOCOL COMPRESSION SPANS. Prints {"sent": N,
 * "failed": N}, as the exporter's own results say.
 */
public final class Client {
  public static void main(String[] arguments) {
    int spans = Integer.parseInt(arguments[3]);
    Counting counting = new Counting(exporter(arguments[0], arguments[1], arguments[2]));
    BatchSpanProcessor processor =
        BatchSpanProcessor.builder(counting).setMaxQueueSize(spans).setMaxExportBatchSize(50).build();
    SdkTracerProvider provider = SdkTracerProvider.builder().addSpanProcessor(processor).build();
    Tracer tracer = provider.get("contract");
    for (int number = 0; number < spans; number++) {
      Span span = tracer.spanBuilder("chat " + number).setAttribute("number", (long) number).startSpan();
      span.addEvent("thinking", Attributes.of(AttributeKey.longKey("tokens"), 12L));
      span.end();
    }
    provider.shutdown().join(30, TimeUnit.SECONDS);
    System.out.println("{\"sent\": " + counting.sent.get() + ", \"failed\": " + counting.failed.get() + "}");
  }

  private static SpanExporter exporter(String endpoint, String protocol, String compression) {
    if (protocol.equals("grpc")) {
      return OtlpGrpcSpanExporter.builder().setEndpoint(endpoint).setCompression(compression).build();
    }
    return OtlpHttpSpanExporter.builder().setEndpoint(endpoint + "/v1/traces").setCompression(compression).build();
  }

  private static final class Counting implements SpanExporter {
    final AtomicLong sent = new AtomicLong();
    final AtomicLong failed = new AtomicLong();
    private final SpanExporter inner;

    Counting(SpanExporter inner) {
      this.inner = inner;
    }

    @Override
    public CompletableResultCode export(Collection<SpanData> batch) {
      int size = batch.size();
      CompletableResultCode result = inner.export(batch);
      result.whenComplete(() -> (result.isSuccess() ? sent : failed).addAndGet(size));
      return result;
    }

    @Override
    public CompletableResultCode flush() {
      return inner.flush();
    }

    @Override
    public CompletableResultCode shutdown() {
      return inner.shutdown();
    }
  }
}

// Sends spans with OpenTelemetry's JavaScript SDK: node client.mjs ENDPOINT PROTOCOL COMPRESSION SPANS
// Prints {"sent": N, "failed": N}, as the exporter's own results say.
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

const [endpoint, protocol, compression, spans] = process.argv.slice(2);
const exporters = {
  grpc: () => new GrpcExporter({ url: endpoint, compression }),
  'http/protobuf': () => new ProtobufExporter({ url: `${endpoint}/v1/traces`, compression }),
  'http/json': () => new JsonExporter({ url: `${endpoint}/v1/traces`, compression }),
};
const exporter = exporters[protocol]();
const counts = { sent: 0, failed: 0 };
const counting = {
  export(batch, done) {
    exporter.export(batch, (result) => {
      counts[result.code === 0 ? 'sent' : 'failed'] += batch.length;
      if (result.code !== 0) console.error(result.error);
      done(result);
    });
  },
  forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  shutdown: () => exporter.shutdown(),
};
const processor = new BatchSpanProcessor({ exporter: counting, maxQueueSize: Number(spans), maxExportBatchSize: 50 });
const provider = new TracerProvider({ spanProcessors: [processor] });
const tracer = provider.getTracer('contract');
for (let number = 0; number < Number(spans); number += 1) {
  const span = tracer.startSpan(`chat ${number}`, { attributes: { 'gen_ai.request.model': 'm', number } });
  span.addEvent('thinking', { tokens: 12 });
  span.end();
}
await provider.forceFlush();
await provider.shutdown();
console.log(JSON.stringify(counts));

// Sends spans with OpenTelemetry's Go SDK: client ENDPOINT PROTOCOL COMPRESSION SPANS
// Prints {"sent": N, "failed": N}, as the exporter's own results say.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

type counting struct {
	trace.SpanExporter
	sent, failed atomic.Int64
}

func (c *counting) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		c.failed.Add(int64(len(spans)))
	} else {
		c.sent.Add(int64(len(spans)))
	}
	return err
}

func exporter(ctx context.Context, endpoint, protocol, compression string) (trace.SpanExporter, error) {
	if protocol == "grpc" {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(endpoint), otlptracegrpc.WithInsecure()}
		if compression == "gzip" {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(endpoint + "/v1/traces")}
	if compression == "gzip" {
		options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	}
	return otlptracehttp.New(ctx, options...)
}

func run(endpoint, protocol, compression string, spans int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	inner, err := exporter(ctx, endpoint, protocol, compression)
	if err != nil {
		return err
	}
	counts := &counting{SpanExporter: inner}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(counts, trace.WithMaxQueueSize(spans), trace.WithMaxExportBatchSize(50), trace.WithBlocking()))
	tracer := provider.Tracer("contract")
	for number := range spans {
		_, span := tracer.Start(ctx, fmt.Sprintf("chat %d", number), api.WithAttributes(attribute.Int("number", number)))
		span.AddEvent("thinking", api.WithAttributes(attribute.Int("tokens", 12)))
		span.End()
	}
	if err := provider.Shutdown(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{"sent": counts.sent.Load(), "failed": counts.failed.Load()})
}

func main() {
	spans, err := strconv.Atoi(os.Args[4])
	if err == nil {
		err = run(os.Args[1], os.Args[2], os.Args[3], spans)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

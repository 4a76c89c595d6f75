"""Taking spans in: OTLP over gRPC and HTTP, admission, and the answer once the log is durable."""

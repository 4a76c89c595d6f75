"""HTTP/1.1 as far as a sidecar serves it: one connection protocol under the OTLP receiver and the metrics port."""

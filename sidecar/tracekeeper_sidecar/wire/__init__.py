"""OTLP on the wire: bounds, counts and cuts over raw bytes, without decoding whole requests."""

"""Receivers as they can be, and wrong in one way each; see `spec_cases.Faulty`."""

from __future__ import annotations

from typing import Any

_AT = "sidecar.receivers"
RECEIVERS: dict[str, Any] = {
    "otlp": {"grpcPort": 15001, "httpPort": 15002},
    "openai": {"parentFrom": "MetadataOrRequest"},
    "zipkin": {"port": 15003},
}
"""All that there is to be said."""

FAULTY_RECEIVERS: list[tuple[Any, ...]] = [
    ("sidecar.ports.metrics", 15001, f"spec.{_AT}.otlp.grpcPort", "15001 is already ports.metrics", False),
    (
        f"{_AT}.zipkin.port",
        15002,
        f"spec.{_AT}.zipkin.port",
        "15002 is already receivers.otlp.httpPort",
        False,
    ),
    (f"{_AT}.zipkin.port", "9411", f"spec.{_AT}.zipkin.port", "leave the quotes out"),
    (f"{_AT}.zipkin", True, f"spec.{_AT}.zipkin", "must be a mapping, not True"),
    (f"{_AT}.jaeger", {}, f"spec.{_AT}.jaeger", "is not a known field"),
    (f"{_AT}.openai.parentFrom", "Header", f"spec.{_AT}.openai.parentFrom", "must be"),
]

"""The schema of the section `metrics`."""

from __future__ import annotations

from tracekeeper_spec.metering import Metering
from tracekeeper_spec.schema import Object

METRICS = Object(Metering, ())

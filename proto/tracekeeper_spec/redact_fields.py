"""The schema of `processors[].redact`."""

from __future__ import annotations

from tracekeeper_spec.redact import Redact
from tracekeeper_spec.schema import Object

REDACT = Object(Redact, ())
